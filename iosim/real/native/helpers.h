/* Threads that make calls which only block, for a program that goes on meanwhile. */

#ifndef IOSIM_HELPERS_H
#define IOSIM_HELPERS_H

#include "handler.h"

/* Let there be up to `most` (0: any number), started when they are needed; each calls `done` when
 * the call that `request` is at has been answered. */
void set_up_helpers(struct server *server, int64_t most, void (*done)(struct request *request));

/* Have a helper make the call that `request` is at. */
void hand_over(struct request *request);

#endif
