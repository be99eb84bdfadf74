/* The requests that one thread has under way at once, none of which it waits for: the twin of
 * `Replies` and `Jobs` in iosim/handler.py. */

#ifndef IOSIM_JOBS_H
#define IOSIM_JOBS_H

#include "handler.h"

/* What a loop waits for in a socket: data, or room. */
enum events { READABLE, WRITABLE };

/* Requests by when their sleep is over. */
struct sleepers {
    struct request **heap;
    size_t count, room;
};

struct jobs {
    struct server *server;
    /* The loop's: watch a new socket; wait for something else in one from now on; forget one
     * that has just been closed. Any may be NULL but the second. */
    void (*watch)(struct jobs *jobs, struct socket *socket);
    void (*wait_for)(struct jobs *jobs, struct socket *socket, enum events events);
    void (*forget)(struct jobs *jobs, struct socket *socket);
    struct sleepers sleepers;
};

/* Receive what `socket` has, a request or a device's answer, and go on with it: do its steps, up
 * to one that would block, or answer it. False if there was nothing, or no more will come: the
 * socket is then closed. A socket whose answer did not fit has room: send the rest. */
bool on_readable(struct jobs *jobs, struct socket *socket);

/* Send the answer to `request`, after those that its connection has no room for, and forget it. */
void reply(struct jobs *jobs, struct request *request);
/* There is room in `connection`: send more; whether that was all. */
bool go_on(struct jobs *jobs, struct socket *connection);
/* Whether the answer before has been sent as a whole. */
bool may_read(struct socket *socket);

/* How long the thread may wait: until the next sleep is over; -1: for ever. */
int64_t timeout_of(struct jobs *jobs);
/* Take up the requests whose sleep is over. */
void run_due(struct jobs *jobs);

/* Let `request` sleep until `due_ns`. */
void add_sleeper(struct sleepers *sleepers, struct request *request);
/* How long until the next is due; -1: there is none. */
int64_t next_due(const struct sleepers *sleepers);
/* The next that is due; NULL: none is yet. */
struct request *take_due(struct sleepers *sleepers);

#endif
