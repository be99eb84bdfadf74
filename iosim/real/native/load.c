/* The load generator: `load FOLDER`. See load.h for what it is made of, and
 * iosim/real/__init__.py for what it says and is told.
 *
 *     look at the clock -> send what is due -> look at the sockets -> ...
 *
 * One thread does everything. With `spin` it never sleeps while the load runs, as waking up
 * takes longer than most of what is to be timed here. Between any two events it looks at the
 * clock: what is due does not wait for a batch.
 *
 * Validated by: tests/real/test_load.py
 */

#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MOST_EVENTS 64

const struct plan *plan;
struct heap timers;

static int epoll_fd;
static struct lines lines;
int64_t start_ns = NEVER, end_ns = NEVER;

void watch(struct watched *watched, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watched};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, watched->fd, &event) < 0)
        give_up("epoll_ctl: %s", strerror(errno));
}

void watch_for(struct watched *watched, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watched};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, watched->fd, &event) < 0)
        give_up("epoll_ctl: %s", strerror(errno));
}

/* ----------------------------------------------------------------------------- the parent */

static void on_all_connected(void)
{
    say("ready");
}

static void on_line(const char *line, void *what)
{
    (void)what;
    int port;
    long long at;
    if (sscanf(line, "connect %d", &port) == 1) {
        connect_clients(port, on_all_connected);
    } else if (sscanf(line, "start %lld", &at) == 1) {
        start_ns = at;
        end_ns = start_ns + plan->duration_ns;
        start_clients();
    } else {
        give_up("what does this mean: %s", line);
    }
}

static void on_stdin(struct watched *watched, uint32_t events)
{
    (void)watched, (void)events;
    if (!read_lines(&lines, on_line, NULL))
        _exit(0);
}

/* ------------------------------------------------------------------------------- the loop */

static void on_alarm(struct watched *watched, uint32_t events)
{
    (void)watched, (void)events; /* it only ends the sleep; setting it anew calms it */
}

/* A timerfd is as exact as the clock; the timeout of epoll_wait is in ms. */
static void set_alarm(int fd, int64_t due_ns)
{
    struct itimerspec when = {0};
    if (due_ns != NEVER) {
        due_ns = due_ns > 0 ? due_ns : 1;
        when.it_value.tv_sec = due_ns / 1000000000;
        when.it_value.tv_nsec = due_ns % 1000000000;
    }
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static int64_t next_due(void)
{
    int64_t due = clients_due();
    if (heap_due(&timers) < due)
        due = heap_due(&timers);
    return end_ns < due ? end_ns : due;
}

static size_t run_due(int64_t now)
{
    return run_clients(now) + heap_run(&timers, now);
}

/* How much of the time between the two is the load's. */
static int64_t of_load(int64_t from_ns, int64_t to_ns)
{
    return (to_ns > start_ns ? to_ns : start_ns) - (from_ns > start_ns ? from_ns : start_ns);
}

/* Go round until the load is over; in which part of the time there was something to do. */
static double run(void)
{
    struct epoll_event events[MOST_EVENTS];
    struct watched alarm = {timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), on_alarm};
    int64_t idle_ns = 0;
    if (alarm.fd < 0)
        give_up("timerfd_create: %s", strerror(errno));
    watch(&alarm, EPOLLIN);
    int64_t now = now_ns();
    while (now < end_ns) {
        bool spins = plan->spin && start_ns != NEVER;
        size_t done = run_due(now) + open_connections();
        int64_t asleep_ns = now_ns();
        if (!spins)
            set_alarm(alarm.fd, next_due());
        int ready = epoll_wait(epoll_fd, events, MOST_EVENTS, spins ? 0 : -1);
        int64_t awake_ns = now_ns();
        for (int i = 0; i < ready; i++) {
            struct watched *watched = events[i].data.ptr;
            watched->on_ready(watched, events[i].events);
            run_due(now_ns());
        }
        int64_t round_ns = now;
        now = now_ns();
        if (!spins)
            idle_ns += of_load(asleep_ns, awake_ns);
        else if (!done && ready <= 0)
            idle_ns += of_load(round_ns, now);
    }
    return now > start_ns ? 1.0 - (double)idle_ns / (double)(now - start_ns) : 0.0;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        give_up("usage: load FOLDER");
    struct plan *found = read_plan(argv[1]);
    plan = found;
    settle_in(&found->client_cpus, found->limit_s);
    prctl(PR_SET_TIMERSLACK, 1UL);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        give_up("epoll_create1: %s", strerror(errno));
    struct watched parent = {0, on_stdin};
    watch(&parent, EPOLLIN);
    prepare_clients();
    say("devices %d", start_devices());
    double busy_fraction = run();
    write_responses(argv[1]);
    say_done(busy_fraction);
    /* The connections stay open: the server is not to see them go before its last counters
     * have been taken. */
    while (read_lines(&lines, on_line, NULL))
        ;
    return 0;
}
