/* The servers' process, `server FOLDER DEVICES_PORT`: it runs the program of one I/O model in
 * its first thread; another sleeps in read(2) until it is asked for the counters. See
 * iosim/real/__init__.py. */

#define _GNU_SOURCE
#include "server.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "handler.h"
#include "items.h"

#define MOST_MODELS 64
#define STACK_BYTES (256 << 10)
#define LOOK_MS 100
#define DEADLOCK_CODE 3

static const struct model *models[MOST_MODELS];
static bool (*look_for_deadlock)(char *text, size_t size);
static _Thread_local int64_t worker = -1;

void add_model(const struct model *model)
{
    int i = 0;
    while (models[i])
        i++;
    models[i] = model;
}

static const struct model *find_model(const char *name)
{
    for (int i = 0; models[i]; i++)
        if (!strcmp(models[i]->name, name))
            return models[i];
    give_up("%s: there is no native server of this I/O model", name);
}

bool option_is(const struct plan *plan, const char *name, const char *value)
{
    return strcmp(option_text(plan, name, ""), value) == 0;
}

long must(long result, const char *call)
{
    if (result < 0)
        give_up("%s: %s", call, strerror(errno));
    return result;
}

struct start {
    void (*program)(void *);
    void *argument;
};

static void *begin(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    start.program(start.argument);
    return NULL;
}

void spawn(void (*program)(void *), void *argument)
{
    struct start *start = allocate(1, sizeof *start);
    *start = (struct start){program, argument};
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int error = pthread_create(&thread, &attributes, begin, start);
    if (error)
        give_up("pthread_create: %s", strerror(error));
    pthread_attr_destroy(&attributes);
}

void enlist(struct server *server)
{
    worker = COUNT(server, workers, 1);
    if (worker >= MOST_WORKERS)
        give_up("more than %d workers", MOST_WORKERS);
}

void count_answered(struct server *server)
{
    COUNT(server, answered, 1);
    if (worker >= 0)
        COUNT(server, served[worker], 1);
}

void do_chunk(struct server *server)
{
    burn(server->plan->own_work_chunk_ns);
    COUNT(server, own_work_ns, server->plan->own_work_chunk_ns);
}

void watch_for_deadlock(bool (*look)(char *text, size_t size)) { look_for_deadlock = look; }

/* --------------------------------------------------------------------- the counters */

struct usage {
    int64_t voluntary, involuntary, cpu_ns, user_ns, system_ns, threads, rss_bytes, peak_bytes;
};

static int64_t ns_of(struct timeval time)
{
    return time.tv_sec * INT64_C(1000000000) + time.tv_usec * INT64_C(1000);
}

static int64_t clock_of(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* A number of /proc/PID/status; 0 if the process has ended. */
static int64_t status_of(pid_t process, const char *name)
{
    char path[64], line[256];
    int64_t found = 0;
    snprintf(path, sizeof path, "/proc/%d/status", process);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
            found = strtoll(line + strlen(name) + 1, NULL, 10);
    if (file)
        fclose(file);
    return found;
}

/* Have the kernel count what the threads that run have used up to now, not up to their last tick:
 * that is so where a thread's own clock is read (pthread_getcpuclockid(3) has it from the id). */
static void bring_up_to_date(void)
{
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));)
        if (atoi(task->d_name))
            clock_of((clockid_t)(~(unsigned)atoi(task->d_name) << 3 | 6));
    if (tasks)
        closedir(tasks);
}

/* This process, less the thread that calls. */
static void add_own(struct usage *usage)
{
    struct rusage all, own;
    bring_up_to_date();
    getrusage(RUSAGE_SELF, &all);
    getrusage(RUSAGE_THREAD, &own);
    usage->voluntary += all.ru_nvcsw - own.ru_nvcsw;
    usage->involuntary += all.ru_nivcsw - own.ru_nivcsw;
    usage->cpu_ns += clock_of(CLOCK_PROCESS_CPUTIME_ID) - clock_of(CLOCK_THREAD_CPUTIME_ID);
    usage->user_ns += ns_of(all.ru_utime) - ns_of(own.ru_utime);
    usage->system_ns += ns_of(all.ru_stime) - ns_of(own.ru_stime);
    usage->threads += status_of(getpid(), "Threads") - 1;
    usage->rss_bytes += status_of(getpid(), "VmRSS") << 10;
    /* Not ru_maxrss, which remembers the parent before exec(2). */
    usage->peak_bytes += status_of(getpid(), "VmHWM") << 10;
}

/* A process that has been forked. Its memory: what it does not share with a file. */
static void add_forked(struct usage *usage, pid_t process)
{
    char path[64];
    unsigned long user = 0, system = 0;
    clockid_t clock;
    usage->voluntary += status_of(process, "voluntary_ctxt_switches");
    usage->involuntary += status_of(process, "nonvoluntary_ctxt_switches");
    int64_t cpu_ns = clock_getcpuclockid(process, &clock) ? 0 : clock_of(clock);
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                   &system) != 2)
            user = system = 0;
        fclose(file);
    }
    double part = user + system ? (double)user / (double)(user + system) : 0.5;
    usage->cpu_ns += cpu_ns;
    usage->user_ns += (int64_t)((double)cpu_ns * part);
    usage->system_ns += (int64_t)((double)cpu_ns * (1 - part));
    usage->threads += status_of(process, "Threads");
    usage->rss_bytes += status_of(process, "RssAnon") << 10;
    usage->peak_bytes += status_of(process, "RssAnon") << 10;
}

static void mark(const struct server *server)
{
    static char text[1024 + 21 * MOST_WORKERS];
    const struct counters *counters = server->counters;
    struct usage usage = {0};
    int64_t clock_ns = now_ns();
    add_own(&usage);
    for (pid_t *process = server->processes; process && *process; process++)
        add_forked(&usage, *process);
    int length = sprintf(
        text,
        "mark clock_ns=%ld voluntary=%ld involuntary=%ld cpu_ns=%ld user_ns=%ld system_ns=%ld "
        "threads=%ld rss_bytes=%ld peak_rss_bytes=%ld waits=%ld wait_events=%ld "
        "wasted_polls=%ld coroutine_switches=%ld own_work_ns=%ld answered=%ld",
        clock_ns, usage.voluntary, usage.involuntary, usage.cpu_ns, usage.user_ns, usage.system_ns,
        usage.threads, usage.rss_bytes, usage.peak_bytes, counters->waits, counters->wait_events,
        counters->wasted_polls, counters->coroutine_switches, counters->own_work_ns,
        counters->answered);
    for (int64_t i = 0; i < counters->workers; i++)
        length += sprintf(text + length, "%s%ld", i ? "," : " served=", counters->served[i]);
    text[length++] = '\n';
    MUST(write(1, text, (size_t)length));
}

/* What the control thread needs to know. */
static struct {
    struct server *server;
    const char *folder;
    const struct model *model;
    sem_t started;
    int64_t start_ns;
    bool done;
} control;

static void on_line(const char *line, void *unused)
{
    (void)unused;
    if (!strcmp(line, "mark"))
        mark(control.server);
    else if (sscanf(line, "start %ld", &control.start_ns) == 1)
        sem_post(&control.started);
}

/* Where a program has its load in itself: see to its end, and look whether it still runs. */
static void look_after_items(void)
{
    char text[1024];
    if (!control.start_ns || control.done)
        return;
    if (look_for_deadlock && look_for_deadlock(text, sizeof text)) {
        say("deadlock %s", text);
        _exit(DEADLOCK_CODE);
    }
    if (now_ns() >= control.start_ns + control.server->plan->duration_ns) {
        write_items(control.folder);
        say("done");
        control.done = true;
    }
}

/* Answer each `mark`; end the process when stdin is closed. */
static void answer_lines(void *unused)
{
    struct lines lines = {0};
    struct pollfd standard_input = {.fd = 0, .events = POLLIN};
    (void)unused;
    for (;;) {
        while (control.model->items && !poll(&standard_input, 1, LOOK_MS))
            look_after_items();
        if (!read_lines(&lines, on_line, NULL))
            _exit(0);
    }
}

/* -------------------------------------------------------------------------- the start */

static void *shared(size_t bytes)
{
    void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED)
        give_up("no memory");
    return found;
}

static void start_control(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    spawn(answer_lines, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Listen, all of it before any client is told, or those that come first would share one. */
static void start_listening(struct server *server, const struct model *model)
{
    const struct plan *plan = server->plan;
    int64_t count = model->listeners ? model->listeners(plan) : 1;
    server->listeners = allocate((size_t)count, sizeof *server->listeners);
    for (int64_t i = 0; i < count; i++)
        server->listeners[i] = listen_on(plan, i ? port_of(server->listeners[0]) : 0);
    server->listener = server->listeners[0];
}

int main(int count, char **arguments)
{
    if (count != 3)
        give_up("usage: server FOLDER DEVICES_PORT");
    struct plan *plan = read_plan(arguments[1]);
    const struct model *model = find_model(plan->model);
    settle_in(&plan->server_cpus, plan->limit_s);
    struct server server = {
        .plan = plan,
        .idle = no_idle(plan),
        .places = shared((size_t)(plan->n_devices + 1) * sizeof(sem_t)),
        .own_work = plan->own_work_chunk_ns > 0,
        .counters = shared(sizeof(struct counters)),
    };
    for (int i = 0; i < plan->n_devices; i++)
        MUST(sem_init(&server.places[i], 1, (unsigned)plan->devices[i].concurrency));
    control.server = &server;
    control.folder = arguments[1];
    control.model = model;
    MUST(sem_init(&control.started, 0, 0));
    if (model->items) {
        start_control();
        say("ready");
        sem_wait(&control.started);
        begin_load(&server, control.start_ns);
    } else {
        prepare_sockets(plan, atoi(arguments[2]));
        start_listening(&server, model);
        start_control();
        say("listening %d", port_of(server.listener));
    }
    model->run(&server);
    for (;;) /* what it has started goes on */
        pause();
}
