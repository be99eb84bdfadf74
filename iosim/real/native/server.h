/* What a server's program is given and shares with its threads: the twin of `Server` in
 * iosim/handler.py and of what iosim/machine/kernel.py has that is no syscall.
 *
 * A program is `static void run(struct server *server)` in a file of its own, which says
 * MODEL(name). It uses what is declared here and in sockets.h, handler.h and jobs.h, and the C
 * library. */

#ifndef IOSIM_SERVER_H
#define IOSIM_SERVER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#include "plan.h"
#include "sockets.h"

#define MOST_WORKERS 1024

/* What the program counts about itself, in memory that it shares with processes it forks. */
struct counters {
    int64_t waits, wait_events, wasted_polls, coroutine_switches, own_work_ns, answered;
    int64_t workers, served[MOST_WORKERS];
};

struct server {
    const struct plan *plan;
    struct socket *listener;
    struct idle *idle;         /* connections to each device that no call is using */
    sem_t *places;             /* of each device that blocks: so many calls at once */
    bool own_work;             /* whether there is any */
    struct counters *counters;
    pid_t *processes;          /* that the program has forked; 0 after the last */
};

/* Add to one of the counters; from any thread, of any process. */
#define COUNT(server, counter, number)                                                        \
    __atomic_fetch_add(&(server)->counters->counter, (number), __ATOMIC_RELAXED)

/* Say that this file's `run` is the program of that I/O model. */
#define MODEL(name)                                                                           \
    static void run(struct server *server);                                                   \
    __attribute__((constructor)) static void announce(void) { add_model(name, run); }

void add_model(const char *name, void (*run)(struct server *));

/* Whether an option is `value`. */
bool option_is(const struct plan *plan, const char *name, const char *value);

/* Start a thread; it has its starter's signal mask. */
void spawn(void (*program)(void *), void *argument);

/* Be one of the workers among which requests are shared out. */
void enlist(struct server *server);

/* A request has been answered, by the calling worker. */
void count_answered(struct server *server);

/* Compute a chunk of the server's own work. */
void do_chunk(struct server *server);

/* Have it end by a line of stdout, instead of `error`, if `look` finds something to say: it is
 * called every 100 ms by the thread that answers `mark`. */
void watch_with(bool (*look)(char *text, size_t size));

/* The result of a call that must not fail: if it does, say why and end. */
#define MUST(call) must((call), #call)
long must(long result, const char *call);

static inline void lock(pthread_mutex_t *mutex) { pthread_mutex_lock(mutex); }
static inline void unlock(pthread_mutex_t *mutex) { pthread_mutex_unlock(mutex); }

#endif
