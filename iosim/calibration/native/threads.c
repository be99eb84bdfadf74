/* Threads: starting them, and handing over from one to another. On one core a hand-over is a
 * switch; to another core it wakes that core first. */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

#define HAND_OVERS 200 /* in a sample */
#define RING_STACK_BYTES 65536

/* The core of the other thread: this one, or another. */
static int core_of(long other) { return other ? place.other_cpu : place.server_cpu; }

static const char *cores(long other) { return other ? "cross_core" : "same_core"; }

static void *end(void *nothing) { return nothing; }

/* Starting a thread and waiting until it has ended: two switches, and a wake-up of whoever waits.
 * `argument[0]`: whether both may use two cores. glibc keeps the stacks of threads that have
 * ended: mapping them is left out. */
PROBE(thread_create_join)
{
    pthread_t thread;
    if (argument[0]) {
        cpu_set_t both;
        CPU_ZERO(&both);
        CPU_SET(place.server_cpu, &both);
        CPU_SET(place.other_cpu, &both);
        MUST(sched_setaffinity(0, sizeof both, &both));
    }
    MEASURE_ONE(figure("thread_create+join", argument[0] ? "2cores" : "same_core"), ,
                pthread_create(&thread, NULL, end, NULL);
                pthread_join(thread, NULL), );
}

static void *yield_for_ever(void *nothing)
{
    for (;;)
        sched_yield();
    return nothing;
}

/* One switch between two threads that give the core away in turn; a sched_yield is in it. The
 * threads have no memory of their own to bring back into the caches. */
PROBE(sched_yield_switch)
{
    start_thread(place.server_cpu, yield_for_ever, NULL);
    usleep(1000);
    /* Each of our calls is answered by one of the other thread: two switches. */
    struct figure *switching = figure("sched_yield_switch", "2thr_same_core");
    for (int i = -1; i < place.samples; i++) {
        int64_t begun_ns = now_ns();
        for (int call = 0; call < HAND_OVERS; call++)
            sched_yield();
        if (i >= 0)
            add(switching, (double)(now_ns() - begun_ns) / HAND_OVERS / 2);
    }
}

/* ------------------------------------------------------------------ hand-over by a futex */

/* A word for each thread, on a cache line of its own: 1 is its turn. */
struct turn {
    _Alignas(64) atomic_int word;
};

static void wait_for_turn(struct turn *turn)
{
    while (!atomic_load(&turn->word))
        syscall(SYS_futex, &turn->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    atomic_store(&turn->word, 0);
}

static void give_turn(struct turn *turn)
{
    atomic_store(&turn->word, 1);
    syscall(SYS_futex, &turn->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

struct member {
    struct turn *own, *next;
};

static void *pass_on(void *argument)
{
    struct member member = *(struct member *)argument;
    for (;;) {
        wait_for_turn(member.own);
        give_turn(member.next);
    }
    return NULL;
}

/* One way of a ping-pong by futex: FUTEX_WAKE, FUTEX_WAIT, and a switch (`argument[0]`: to a
 * thread on another core, which is woken). */
PROBE(futex_pingpong)
{
    static struct turn turns[2];
    static struct member other = {&turns[1], &turns[0]};
    start_thread(core_of(argument[0]), pass_on, &other);
    struct figure *passing = figure("futex_pingpong_oneway", "%s", cores(argument[0]));
    for (int i = -1; i < place.samples; i++) {
        int64_t begun_ns = now_ns();
        for (int call = 0; call < HAND_OVERS / 2; call++) {
            give_turn(&turns[1]);
            wait_for_turn(&turns[0]);
        }
        if (i >= 0)
            add(passing, (double)(now_ns() - begun_ns) / HAND_OVERS);
    }
}

/* One hand-over in a ring of `argument[0]` threads on one core: the same as the ping-pong, while
 * the other threads' stacks and structures push its own out of the caches. They hold nothing but
 * a few frames: a server's threads have more to lose. */
PROBE(ring_of_threads)
{
    int n = (int)argument[0];
    struct turn *turns = aligned_alloc(64, sizeof *turns * (size_t)n);
    struct member *members = calloc((size_t)n, sizeof *members);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, RING_STACK_BYTES);
    for (int i = 0; i < n; i++) {
        atomic_init(&turns[i].word, 0);
        members[i] = (struct member){&turns[i], &turns[(i + 1) % n]};
    }
    for (int i = 1; i < n; i++) {
        pthread_t thread;
        if ((errno = pthread_create(&thread, &small, pass_on, &members[i])))
            give_up("%d threads: %m", n);
    }
    int rounds = n < HAND_OVERS ? HAND_OVERS / n : 1;
    struct figure *passing = figure("ring_of_threads", "n=%d", n);
    for (int i = -2; i < place.samples; i++) {
        int64_t begun_ns = now_ns();
        for (int round = 0; round < rounds; round++) {
            give_turn(members[0].next);
            wait_for_turn(members[0].own);
        }
        if (i >= 0)
            add(passing, (double)(now_ns() - begun_ns) / rounds / n);
    }
}

/* ------------------------------------------------------------------ hand-over by pipes */

struct pipes {
    int there[2], back[2];
};

static void *answer(void *argument)
{
    struct pipes *pipes = argument;
    char byte;
    while (read(pipes->there[0], &byte, 1) == 1)
        MUST(write(pipes->back[1], &byte, 1));
    return NULL;
}

/* One way of a ping-pong by two pipes: a write, a read that sleeps, and a switch (`argument[0]`:
 * to a thread on another core). */
PROBE(pipe_pingpong)
{
    static struct pipes pipes;
    char byte = 0;
    MUST(pipe(pipes.there));
    MUST(pipe(pipes.back));
    start_thread(core_of(argument[0]), answer, &pipes);
    struct figure *passing = figure("pipe_pingpong_oneway", "%s", cores(argument[0]));
    for (int i = -1; i < place.samples; i++) {
        int64_t begun_ns = now_ns();
        for (int call = 0; call < HAND_OVERS / 2; call++) {
            MUST(write(pipes.there[1], &byte, 1));
            MUST(read(pipes.back[0], &byte, 1));
        }
        if (i >= 0)
            add(passing, (double)(now_ns() - begun_ns) / HAND_OVERS);
    }
}

/* ------------------------------------------------------------------ a pool's queue */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int asked, done;
} job = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *work(void *nothing)
{
    pthread_mutex_lock(&job.mutex);
    for (;;) {
        while (!job.asked)
            pthread_cond_wait(&job.changed, &job.mutex);
        job.asked = 0;
        job.done = 1;
        pthread_cond_broadcast(&job.changed);
    }
    return nothing;
}

/* A job for a worker that waits on a condition variable, and back: two hand-overs with the mutex
 * between them (`argument[0]`: to another core). Leaves out a queue of more than one job. */
PROBE(pool_hop)
{
    start_thread(core_of(argument[0]), work, NULL);
    pthread_mutex_lock(&job.mutex);
    MEASURE_ONE(figure("threadpool_hop_roundtrip", "%s", cores(argument[0])), job.done = 0,
                job.asked = 1;
                pthread_cond_broadcast(&job.changed);
                while (!job.done) pthread_cond_wait(&job.changed, &job.mutex), );
}
