/* Waking a thread on another core, which is what light load mostly costs.
 *
 *     sleeper  --| goes to sleep                     runs |--
 *     core            idle for a gap ... way out of idle
 *     waker    .......... spins ......... | wakes |........
 *                                         <------->  waker's share
 *                                         <-------------->  latency
 *
 * The waker spins and so never sleeps. A gap begins when the sleeper says that it is about to go
 * to sleep, which takes it about a microsecond more. Gaps at random, one after the other in no
 * order: a host that guesses how long a core will stay idle has nothing to go by, as with a
 * server. */

#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

#define US INT64_C(1000)

/* ------------------------------------------------------------------ a sleeper */

static struct {
    _Alignas(64) _Atomic int64_t asleep_ns; /* when it was about to sleep; 0: it has woken */
    int64_t woken_ns, cpu_ns;
    _Alignas(64) atomic_int word; /* a futex */
    int eventfd, epoll;
} sleeper;

static void sleep_in_read(void)
{
    uint64_t value;
    MUST(read(sleeper.eventfd, &value, sizeof value));
}

static void sleep_in_epoll_wait(void)
{
    struct epoll_event event;
    MUST(epoll_wait(sleeper.epoll, &event, 1, -1));
}

static void sleep_in_futex(void)
{
    while (!atomic_load(&sleeper.word))
        syscall(SYS_futex, &sleeper.word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void wake_by_write(void)
{
    uint64_t one = 1;
    MUST(write(sleeper.eventfd, &one, sizeof one));
}

static void wake_by_futex(void)
{
    atomic_store(&sleeper.word, 1);
    syscall(SYS_futex, &sleeper.word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static const struct way {
    const char *name;
    void (*sleep)(void);
    void (*wake)(void);
} ways[] = {
    {"read_eventfd", sleep_in_read, wake_by_write},
    {"epoll", sleep_in_epoll_wait, wake_by_write},
    {"futex", sleep_in_futex, wake_by_futex},
};

static void *sleep_again_and_again(void *argument)
{
    const struct way *way = argument;
    uint64_t value;
    for (;;) {
        int64_t cpu_before_ns = cpu_ns();
        atomic_store(&sleeper.asleep_ns, now_ns());
        way->sleep();
        sleeper.woken_ns = now_ns();
        sleeper.cpu_ns = cpu_ns() - cpu_before_ns;
        if (way->sleep == sleep_in_epoll_wait)
            MUST(read(sleeper.eventfd, &value, sizeof value));
        atomic_store(&sleeper.word, 0);
        atomic_store(&sleeper.asleep_ns, 0);
    }
    return NULL;
}

static void start_sleeper(const struct way *way)
{
    struct epoll_event event = {.events = EPOLLIN};
    sleeper.eventfd = MUST(eventfd(0, 0));
    sleeper.epoll = MUST(epoll_create1(0));
    MUST(epoll_ctl(sleeper.epoll, EPOLL_CTL_ADD, sleeper.eventfd, &event));
    pin(place.other_cpu); /* the waker: what is measured sleeps on the server's core */
    start_thread(place.server_cpu, sleep_again_and_again, (void *)way);
}

struct woken {
    double latency_ns, sleeper_cpu_ns, waker_ns, waker_cpu_ns;
};

/* One wake-up, `gap_ns` after the sleeper was about to sleep. */
static struct woken wake_after(const struct way *way, int64_t gap_ns)
{
    int64_t asleep_ns;
    while (!(asleep_ns = atomic_load(&sleeper.asleep_ns)))
        ;
    wait_until_ns(asleep_ns + gap_ns);
    int64_t cpu_before_ns = cpu_ns(), begun_ns = now_ns();
    way->wake();
    int64_t ended_ns = now_ns(), cpu_after_ns = cpu_ns();
    while (atomic_load(&sleeper.asleep_ns) == asleep_ns)
        ;
    return (struct woken){
        .latency_ns = (double)(sleeper.woken_ns - begun_ns),
        .sleeper_cpu_ns = (double)sleeper.cpu_ns - cpu_cost_ns() - 2 * now_cost_ns(),
        .waker_ns = (double)(ended_ns - begun_ns) - now_cost_ns(),
        .waker_cpu_ns = (double)(cpu_after_ns - cpu_before_ns) - cpu_cost_ns() - 2 * now_cost_ns(),
    };
}

/* ------------------------------------------------------------------ probes of it */

static const char *gap_name(long us)
{
    static char name[32];
    snprintf(name, sizeof name, us < 1000 ? "gap%ldus" : "gap%ldms", us < 1000 ? us : us / 1000);
    return name;
}

/* A wake-up each `argument[1]` us, in the way of number `argument[0]`: until the sleeper runs, and
 * how long the waker is at it. The host may well know when the core will be wanted again. */
PROBE(wake_idle_core)
{
    const struct way *way = &ways[argument[0]];
    char name[64];
    snprintf(name, sizeof name, "wake_idle_core_%s", way->name);
    struct figure *latency = figure(name, "%s", gap_name(argument[1]));
    snprintf(name, sizeof name, "wake_idle_core_%s_waker_cost", way->name);
    struct figure *waker = figure(name, "%s", gap_name(argument[1]));
    start_sleeper(way);
    for (int i = -5; i < place.samples; i++) {
        struct woken woken = wake_after(way, argument[1] * US);
        if (i < 0)
            continue;
        add(latency, woken.latency_ns);
        add(waker, woken.waker_ns);
    }
}

static void *spin_at_the_lowest_priority(void *nothing)
{
    MUST(sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0}));
    for (;;)
        ;
    return nothing;
}

/* The same to a core that is kept awake by a thread that gives way to any other: an interrupt and
 * a switch, without the way out of idle. */
PROBE(wake_awake_core)
{
    struct figure *latency = figure("wake_awake_core_read_eventfd", "gap100us");
    struct figure *waker = figure("wake_awake_core_read_eventfd_waker_cost", "gap100us");
    start_sleeper(&ways[0]);
    start_thread(place.server_cpu, spin_at_the_lowest_priority, NULL);
    for (int i = -5; i < place.samples; i++) {
        struct woken woken = wake_after(&ways[0], 100 * US);
        if (i < 0)
            continue;
        add(latency, woken.latency_ns);
        add(waker, woken.waker_ns);
    }
}

/* Wake-ups of a read at random gaps of about `argument[0]`, `argument[1]`, ... us in no order:
 * until the sleeper runs; the CPU time that the sleeper is charged with from before its read until
 * after it; and the waker's, for its write. The sleeper's holds the read itself, the switch away
 * and whatever of the way out of idle the kernel takes for the thread's own. Leaves out what runs
 * more slowly afterwards, as the caches are cold. */
PROBE(wake_random_gap)
{
    int n = 0;
    struct figure *latency[MOST_GAPS], *sleeping[MOST_GAPS], *waking[MOST_GAPS];
    for (; n < MOST_GAPS && argument[n]; n++) {
        latency[n] = figure("wake_random_gap_latency", "gap=%ldus", argument[n]);
        sleeping[n] = figure("wake_random_gap_sleeper_cpu", "gap=%ldus", argument[n]);
        waking[n] = figure("wake_random_gap_waker_cpu", "gap=%ldus", argument[n]);
    }
    start_sleeper(&ways[0]);
    while (!all_full()) {
        int i = (int)(random_fraction() * n);
        struct woken woken = wake_after(&ways[0], random_gap_ns(argument[i]));
        add(latency[i], woken.latency_ns);
        add(sleeping[i], woken.sleeper_cpu_ns);
        add(waking[i], woken.waker_cpu_ns);
    }
}
