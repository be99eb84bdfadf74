/* The load: the clients and the devices, in one thread around one epoll.
 *
 *     load.c          the loop, and what the parent says and is told
 *     clients.c       requests and their fate
 *     connections.c   how they are sent and answered
 *     devices.c       what the server's calls go to
 *     heap.c          what is to happen when
 */

#ifndef IOSIM_LOAD_H
#define IOSIM_LOAD_H

#include "heap.h"
#include "plan.h"

#include <sys/epoll.h>

/* A descriptor that the loop watches. What is closed while a batch of events is gone through
 * may still be named by it: fd is -1 then, and a call that finds nothing does no harm. */
struct watched {
    int fd;
    void (*on_ready)(struct watched *watched, uint32_t events);
};

extern const struct plan *plan;

/* When the load begins, and from when on no request is meant to be sent; NEVER: not known yet. */
extern int64_t start_ns, end_ns;

/* Everything but the requests' deadlines. */
extern struct heap timers;

void watch(struct watched *watched, uint32_t events);
void watch_for(struct watched *watched, uint32_t events);

/* ------------------------------------------------------------------------------ devices.c */

/* Answer queries from now on; the port. */
int start_devices(void);

/* ------------------------------------------------------------------------------ clients.c */

void prepare_clients(void);

/* The times of the load are known now. */
void start_clients(void);

/* Do what is due now: offer requests, give up those that have timed out; how much it was. */
size_t run_clients(int64_t now);

/* When there will be something to do, if nothing comes. */
int64_t clients_due(void);

/* Write `responses`. */
void write_responses(const char *folder);

/* Say what `done` says of the clients. */
void say_done(double busy_fraction);

/* --------------------------------------------------------------------------- connections.c */

/* Connect to the server's port; `on_all_open` is called when all connections are open. */
void connect_clients(int port, void (*on_all_open)(void));

/* Open the connections that are wanted; not while a batch of events is gone through. */
size_t open_connections(void);

#endif
