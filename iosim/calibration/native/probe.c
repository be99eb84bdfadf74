/* See probe.h. */

#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_PROBES 128
#define MOST_FIGURES 64
#define MOST_ARGUMENTS 9
#define CLOCK_READINGS 501
#define GAP_WIDTH 0.2

struct place place;

struct figure {
    char name[64], param[64];
    double *samples;
    int count;
};

static struct {
    const char *name;
    void (*run)(const long *argument);
} probes[MOST_PROBES];
static int probe_count;
static struct figure figures[MOST_FIGURES];
static int figure_count;

void add_probe(const char *name, void (*run)(const long *argument))
{
    if (probe_count == MOST_PROBES)
        abort();
    probes[probe_count].name = name;
    probes[probe_count++].run = run;
}

struct figure *figure(const char *name, const char *param_format, ...)
{
    if (figure_count == MOST_FIGURES)
        abort();
    struct figure *made = &figures[figure_count++];
    va_list values;
    snprintf(made->name, sizeof made->name, "%s", name);
    va_start(values, param_format);
    vsnprintf(made->param, sizeof made->param, param_format, values);
    va_end(values);
    made->samples = calloc((size_t)place.samples, sizeof *made->samples);
    if (!made->samples)
        give_up("no memory");
    return made;
}

void add(struct figure *figure, double sample)
{
    if (figure->count < place.samples)
        figure->samples[figure->count++] = sample;
}

int all_full(void)
{
    for (int i = 0; i < figure_count; i++)
        if (figures[i].count < place.samples)
            return 0;
    return 1;
}

void give_up(const char *format, ...)
{
    va_list values;
    fputs("error ", stdout);
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    puts("");
    fflush(stdout);
    _exit(1);
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

int64_t now_ns(void) { return read_clock(CLOCK_MONOTONIC); }
int64_t cpu_ns(void) { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

long switches(void)
{
    struct rusage usage;
    MUST(getrusage(RUSAGE_THREAD, &usage));
    return usage.ru_nvcsw;
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static double cost_of(int64_t (*clock)(void))
{
    int64_t spans[CLOCK_READINGS];
    for (int i = 0; i < CLOCK_READINGS; i++) {
        int64_t begun = clock();
        spans[i] = clock() - begun;
    }
    qsort(spans, CLOCK_READINGS, sizeof *spans, by_value);
    return (double)spans[CLOCK_READINGS / 2];
}

double now_cost_ns(void)
{
    static double cost;
    if (!cost)
        cost = cost_of(now_ns);
    return cost;
}

double cpu_cost_ns(void)
{
    static double cost;
    if (!cost)
        cost = cost_of(cpu_ns);
    return cost;
}

void wait_until_ns(int64_t until_ns)
{
    while (now_ns() < until_ns)
        ;
}

void pin(int cpu)
{
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(cpu, &only);
    MUST(sched_setaffinity(0, sizeof only, &only));
}

struct start {
    int cpu;
    program *program;
    void *argument;
};

static void *run_pinned(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    pin(start.cpu);
    return start.program(start.argument);
}

uintptr_t start_thread(int cpu, program *program, void *argument)
{
    struct start *start = malloc(sizeof *start);
    pthread_t thread;
    if (!start)
        give_up("no memory");
    *start = (struct start){cpu, program, argument};
    int error = pthread_create(&thread, NULL, run_pinned, start);
    if (error)
        give_up("pthread_create: %s", strerror(error));
    return (uintptr_t)thread;
}

void join_thread(uintptr_t thread) { pthread_join((pthread_t)thread, NULL); }

double random_fraction(void)
{
    static uint64_t state = 88172645463325252u; /* Marsaglia's xorshift */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / (double)(UINT64_C(1) << 53);
}

int64_t random_gap_ns(long us)
{
    return (int64_t)((double)us * 1000 * (1 + GAP_WIDTH * (2 * random_fraction() - 1)));
}

int listen_on_loopback(struct sockaddr_in *where)
{
    socklen_t length = sizeof *where;
    *where = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(bind(listener, (struct sockaddr *)where, length));
    MUST(listen(listener, SOMAXCONN));
    MUST(getsockname(listener, (struct sockaddr *)where, &length));
    return listener;
}

void connect_on_loopback(int ends[2])
{
    struct sockaddr_in where;
    int listener = listen_on_loopback(&where);
    ends[0] = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(connect(ends[0], (struct sockaddr *)&where, sizeof where));
    ends[1] = MUST(accept(listener, NULL, NULL));
    for (int i = 0; i < 2; i++)
        MUST(setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
    close(listener);
}

void need_files(long count)
{
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_cur != RLIM_INFINITY && (long)limit.rlim_cur < count)
        give_up("it needs %ld open files, and may have %ld", count, (long)limit.rlim_cur);
}

static void tell(const struct figure *figure)
{
    printf("samples %s|%s|", figure->name, figure->param);
    for (int i = 0; i < figure->count; i++)
        printf("%.1f ", figure->samples[i]);
    puts("");
}

int main(int argc, char **argv)
{
    long arguments[MOST_ARGUMENTS] = {0};
    if (argc < 5 || argc > 5 + MOST_ARGUMENTS)
        give_up("expected NAME SERVER_CPU OTHER_CPU SAMPLES [ARGUMENT...]");
    place = (struct place){atoi(argv[2]), atoi(argv[3]), atoi(argv[4])};
    for (int i = 5; i < argc; i++)
        arguments[i - 5] = atol(argv[i]);
    for (int i = 0; i < probe_count; i++)
        if (!strcmp(probes[i].name, argv[1])) {
            pin(place.server_cpu);
            probes[i].run(arguments);
            for (int j = 0; j < figure_count; j++)
                tell(&figures[j]);
            puts("done");
            fflush(stdout);
            _exit(0); /* threads that wait for ever do not hold it up */
        }
    give_up("there is no probe %s", argv[1]);
}
