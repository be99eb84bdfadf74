/* What a server does with a request: the twin of iosim/handler.py.
 *
 * `serve` goes through all steps and sleeps in those that block. Who does not want to sleep takes
 * one step after the other by `next_step`, and starts what would block. */

#ifndef IOSIM_HANDLER_H
#define IOSIM_HANDLER_H

#include "server.h"

struct idle {
    pthread_mutex_t lock;
    struct socket *first;
};

/* The next step of `request`, which is now under way; NULL: it is to be answered. */
const struct step *next_step(const struct server *server, struct request *request);
/* What the plan says of the step under way: ns, or of a call its attempt (attempt_ns, ...). */
int64_t amount_of(const struct server *server, const struct request *request);
/* Now that the call has been answered: if with an error, turn to the next attempt, if there is
 * one; if there is none, the request has failed. */
bool try_again(const struct server *server, struct request *request);
/* Whether work on `request` is to be given up, for its client has closed the connection. */
bool gave_up(const struct server *server, const struct request *request);

/* Whether a call goes to a device that only blocks. */
bool blocks(const struct server *server, const struct step *step);

/* Go through all steps of `request`, sleeping in those that block. */
void serve(struct server *server, struct request *request);
/* Have a device answer the call under way; the thread sleeps meanwhile. */
void call(struct server *server, struct request *request, const struct step *step);
/* nanosleep(2). */
void sleep_for(int64_t ns);

/* A free connection to a device, and whether it is a new one; let another call use it. */
struct socket *connection_to(struct server *server, int device, bool nonblocking, bool *is_new);
void release(struct server *server, struct socket *socket);
/* Connections to devices that are lent to nobody else. */
struct idle *no_idle(const struct plan *plan);

#endif
