/* What a pipeline's programs are given: items to make, a place to report them. The twin of
 * iosim/pipeline.py. Items are made until the load is over. */

#ifndef IOSIM_ITEMS_H
#define IOSIM_ITEMS_H

#include "server.h"

/* An item, and when it was made and used, of CLOCK_MONOTONIC; 0: not yet. */
struct item {
    int64_t row, produce_ns, consume_ns, made_ns, used_ns;
};

/* The next item, which is to be made; NULL: the load is over. */
struct item *next_item(struct server *server);
/* It has been made; a consumer has it in hand; it has been used. */
void made(struct item *item);
void taken(void);
void used(struct server *server, struct item *item);

/* The load is to start at `start_ns`: let time pass until then. */
void begin_load(struct server *server, int64_t start_ns);
/* How long until it is over; 0 or less: it is. */
int64_t load_left_ns(void);
/* Write `responses` and `order` into `folder`. */
void write_items(const char *folder);

#endif
