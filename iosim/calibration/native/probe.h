/* What every probe has: its place, clocks, and a way to tell its samples.
 *
 *     probes NAME SERVER_CPU OTHER_CPU SAMPLES [ARGUMENT...]
 *
 * says, for each figure that the probe gives,
 *
 *     samples FIGURE|PARAM|110.5 104.1 ...
 *
 * then `done`; or `error WHY`. The process is pinned to SERVER_CPU before the probe begins; times
 * are in ns by CLOCK_MONOTONIC, or by the thread's own CPU clock where the figure says cpu. */

#ifndef IOSIM_PROBE_H
#define IOSIM_PROBE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct place {
    int server_cpu, other_cpu;
    int samples; /* that each figure is to have */
};
extern struct place place;

/* A probe of that name, to be found by it. It reads `argument[0]` and on. */
#define PROBE(name)                                                                         \
    static void name(const long *argument);                                                 \
    __attribute__((constructor)) static void name##_is_there(void) { add_probe(#name, name); } \
    static void name(const long *argument __attribute__((unused)))

void add_probe(const char *name, void (*run)(const long *argument));

/* Samples under one name. */
struct figure;
struct figure *figure(const char *name, const char *param_format, ...)
    __attribute__((format(printf, 2, 3)));
#define NO_PARAM "%s", ""
/* A figure takes SAMPLES of them, and no more. */
void add(struct figure *figure, double sample);
int all_full(void); /* whether each has them */

/* Say why it cannot be measured, and end. */
void give_up(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* The same if a call has failed. */
#define MUST(call)                                                                           \
    ({                                                                                       \
        __auto_type result_ = (call);                                                        \
        if (result_ < 0)                                                                     \
            give_up("%s: %m", #call);                                                        \
        result_;                                                                             \
    })

int64_t now_ns(void);
/* The CPU time of this thread. */
int64_t cpu_ns(void);
/* How often this thread has gone to sleep. */
long switches(void);
/* What reading either clock adds to the span between two readings: the median of many. */
double now_cost_ns(void);
double cpu_cost_ns(void);
void wait_until_ns(int64_t until_ns); /* spins */

void pin(int cpu);
/* A thread on `cpu`. */
typedef void *program(void *argument);
uintptr_t start_thread(int cpu, program *program, void *argument);
void join_thread(uintptr_t thread);

/* Numbers at random, the same ones in each run. */
double random_fraction(void);
/* A gap within a fifth of `us`. */
int64_t random_gap_ns(long us);
#define MOST_GAPS 8 /* that a probe draws from: its arguments */

/* Two ends of a TCP connection on loopback, without Nagle's delay. */
void connect_on_loopback(int ends[2]);
/* A listener there on any port, and where it is. */
struct sockaddr_in;
int listen_on_loopback(struct sockaddr_in *where);

/* As many open files as this process may have. */
void need_files(long count);

/* SAMPLES times: the mean of `calls` calls of `statement`, after one round that is not counted. */
#define MEASURE(into, calls, statement)                                                      \
    do {                                                                                     \
        struct figure *into_ = (into);                                                       \
        for (int sample_ = -1; sample_ < place.samples; sample_++) {                         \
            int64_t begun_ns_ = now_ns();                                                    \
            for (int call_ = 0; call_ < (calls); call_++) {                                  \
                statement;                                                                   \
            }                                                                                \
            double took_ns_ = (double)(now_ns() - begun_ns_) - now_cost_ns();                \
            if (sample_ >= 0)                                                                \
                add(into_, took_ns_ / (calls));                                              \
        }                                                                                    \
    } while (0)

/* SAMPLES times and one: `statement` alone, between what is not measured. */
#define MEASURE_ONE(into, before, statement, after)                                          \
    do {                                                                                     \
        struct figure *into_ = (into);                                                       \
        for (int sample_ = -1; sample_ < place.samples; sample_++) {                         \
            before;                                                                          \
            int64_t begun_ns_ = now_ns();                                                    \
            statement;                                                                       \
            double took_ns_ = (double)(now_ns() - begun_ns_) - now_cost_ns();                \
            after;                                                                           \
            if (sample_ >= 0)                                                                \
                add(into_, took_ns_);                                                        \
        }                                                                                    \
    } while (0)

#endif
