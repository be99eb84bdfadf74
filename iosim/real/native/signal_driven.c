/* Signal-driven I/O: a queued real-time signal for each arrival, taken by sigtimedwait. The twin
 * of iosim/io_models/signal_driven.py. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "jobs.h"

MODEL("signal_driven")

/* What is passed to poll when signals have got lost: by descriptor; -1 where there is none. */
struct descriptors {
    struct jobs jobs; /* first, so that a callback finds its descriptors */
    struct pollfd *all;
    size_t count;
};

static void watch(struct jobs *jobs, struct socket *socket)
{
    struct descriptors *set = (struct descriptors *)jobs;
    MUST(fcntl(socket->fd, F_SETOWN, getpid()));
    MUST(fcntl(socket->fd, F_SETSIG, SIGRTMIN));
    MUST(fcntl(socket->fd, F_SETFL, O_NONBLOCK | O_ASYNC));
    size_t fd = (size_t)socket->fd;
    if (fd >= set->count) {
        set->all = realloc(set->all, (2 * fd + 64) * sizeof *set->all);
        if (!set->all)
            give_up("no memory");
        for (; set->count < 2 * fd + 64; set->count++)
            set->all[set->count].fd = -1;
    }
    set->all[fd] = (struct pollfd){.fd = socket->fd, .events = POLLIN};
}

static void forget(struct jobs *jobs, struct socket *socket)
{
    ((struct descriptors *)jobs)->all[socket->fd].fd = -1;
}

/* Both are signalled; only poll has to know. */
static void wait_for(struct jobs *jobs, struct socket *socket, enum events events)
{
    struct descriptors *set = (struct descriptors *)jobs;
    set->all[socket->fd].events = events == WRITABLE ? POLLOUT : POLLIN;
}

static void drain(struct jobs *jobs, struct socket *socket)
{
    struct socket *connection;
    if (socket != jobs->server->listener) {
        while (on_readable(jobs, socket))
            ;
        return;
    }
    while ((connection = accept_connection(socket, true))) {
        watch(jobs, connection);
        drain(jobs, connection);
    }
}

/* Throw away what is queued: ignore the signal, and set it back. */
static void discard_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, back = {.sa_handler = SIG_DFL};
    MUST(sigaction(SIGRTMIN, &ignore, NULL));
    MUST(sigaction(SIGRTMIN, &back, NULL));
}

/* The loop around sigtimedwait. */
static void run(struct server *server)
{
    struct descriptors set = {
        .jobs = {.server = server, .watch = watch, .wait_for = wait_for, .forget = forget}};
    struct jobs *jobs = &set.jobs;
    rlim_t most = (rlim_t)option_number(server->plan, "queue", 1024);
    struct rlimit limit;
    sigset_t signals;
    MUST(getrlimit(RLIMIT_SIGPENDING, &limit));
    if (most > limit.rlim_max)
        give_up("signal_driven: no more than %lu signals can be queued", (unsigned long)limit.rlim_max);
    limit.rlim_cur = most;
    MUST(setrlimit(RLIMIT_SIGPENDING, &limit));
    sigemptyset(&signals);
    sigaddset(&signals, SIGRTMIN);
    sigaddset(&signals, SIGIO);
    MUST(sigprocmask(SIG_BLOCK, &signals, NULL));
    watch(jobs, server->listener);
    drain(jobs, server->listener);
    for (;;) {
        siginfo_t info;
        int64_t timeout_ns = timeout_of(jobs);
        struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
        int signal = sigtimedwait(&signals, &info, timeout_ns < 0 ? NULL : &timeout);
        if (signal == SIGIO) {
            discard_signals();
            poll(set.all, set.count, 0);
            for (size_t fd = 0; fd < set.count; fd++)
                if (set.all[fd].fd >= 0 && set.all[fd].revents)
                    drain(jobs, socket_of((int)fd));
        } else if (signal >= 0 && (size_t)info.si_fd < set.count && set.all[info.si_fd].fd >= 0) {
            drain(jobs, socket_of(info.si_fd));
        }
        run_due(jobs);
        if (server->own_work && signal < 0)
            do_chunk(server);
    }
}
