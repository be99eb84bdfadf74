/* Timers: how much later than asked for a thread that sleeps goes on, its core being idle
 * meanwhile. It holds the timer's slack, the way out of idle and a switch. */

#define _GNU_SOURCE
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

/* This thread's slack; a thread that is not asked has 50 us. */
static void set_slack(long slack_ns) { MUST(prctl(PR_SET_TIMERSLACK, slack_ns)); }

static const char *slack(long slack_ns) { return slack_ns == 1 ? "slack1ns" : "slack50us"; }

/* nanosleep of `argument[0]` us with a slack of `argument[1]` ns: time beyond what was asked. */
PROBE(nanosleep_overshoot)
{
    struct timespec asked = {.tv_nsec = argument[0] * 1000};
    struct figure *beyond =
        figure("nanosleep_overshoot", "%ldus;%s", argument[0], slack(argument[1]));
    set_slack(argument[1]);
    for (int i = -1; i < place.samples; i++) {
        int64_t begun_ns = now_ns();
        nanosleep(&asked, NULL);
        if (i >= 0)
            add(beyond, (double)(now_ns() - begun_ns - asked.tv_nsec) - now_cost_ns());
    }
}

/* The same by a timerfd, which has no slack whatever the thread's is. */
PROBE(timerfd_overshoot)
{
    int timer = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    struct itimerspec asked = {.it_value.tv_nsec = argument[0] * 1000};
    uint64_t times;
    struct figure *beyond =
        figure("timerfd_overshoot", "%ldus;%s", argument[0], slack(argument[1]));
    set_slack(argument[1]);
    for (int i = -1; i < place.samples; i++) {
        int64_t begun_ns = now_ns();
        MUST(timerfd_settime(timer, 0, &asked, NULL));
        MUST(read(timer, &times, sizeof times));
        if (i >= 0)
            add(beyond, (double)(now_ns() - begun_ns - asked.it_value.tv_nsec) - now_cost_ns());
    }
}

/* The same by the time-out of an epoll_wait, 1 ms. */
PROBE(epoll_wait_overshoot)
{
    int epoll = MUST(epoll_create1(0));
    struct epoll_event event;
    struct figure *beyond = figure("epoll_wait_1ms_overshoot", "%s", slack(argument[0]));
    set_slack(argument[0]);
    for (int i = -1; i < place.samples; i++) {
        int64_t begun_ns = now_ns();
        MUST(epoll_wait(epoll, &event, 1, 1));
        if (i >= 0)
            add(beyond, (double)(now_ns() - begun_ns - 1000000) - now_cost_ns());
    }
}

/* Setting a timer that is set, an hour ahead. */
PROBE(timerfd_set)
{
    int timer = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    struct itimerspec asked = {.it_value.tv_sec = 3600};
    MEASURE(figure("timerfd_settime", NO_PARAM), 200, timerfd_settime(timer, 0, &asked, NULL));
}
