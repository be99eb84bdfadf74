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
    struct socket *listener;   /* the first of those of `listeners` */
    struct socket **listeners; /* on the same port */
    struct idle *idle;         /* connections to each device that no call is using */
    sem_t *places;             /* of each device that blocks: so many calls at once */
    bool own_work;             /* whether there is any */
    struct counters *counters;
    pid_t *processes;          /* that the program has forked; 0 after the last */
};

/* Add to one of the counters; from any thread, of any process. */
#define COUNT(server, counter, number)                                                        \
    __atomic_fetch_add(&(server)->counters->counter, (number), __ATOMIC_RELAXED)

/* An I/O model: its name in scenarios, its program, how many listeners that has (NULL: one), and
 * whether it makes items and serves nobody. */
struct model {
    const char *name;
    void (*run)(struct server *server);
    int64_t (*listeners)(const struct plan *plan);
    bool items;
};

/* Say that this file is that model. */
#define DECLARE_MODEL(...)                                                                    \
    static void run(struct server *server);                                                   \
    static struct model model = {.run = run, __VA_ARGS__};                                    \
    __attribute__((constructor)) static void announce(void) { add_model(&model); }
#define MODEL(its_name) DECLARE_MODEL(.name = its_name)
#define ITEMS_MODEL(its_name) DECLARE_MODEL(.name = its_name, .items = true)

void add_model(const struct model *model);

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

/* Have the thread that answers `mark` call `look` every 100 ms: if it finds a deadlock to write
 * into `text`, that is said, and the process ends. */
void watch_for_deadlock(bool (*look)(char *text, size_t size));

/* The result of a call that must not fail: if it does, say why and end. */
#define MUST(call) must((call), #call)
long must(long result, const char *call);

static inline void lock(pthread_mutex_t *mutex) { pthread_mutex_lock(mutex); }
static inline void unlock(pthread_mutex_t *mutex) { pthread_mutex_unlock(mutex); }

#endif
