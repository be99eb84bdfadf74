/* Asking which of many descriptors are ready. They are local sockets: those of TCP are larger, and
 * fall out of the caches sooner. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probe.h"

#define MOST_EVENTS 1024

/* Sockets in the order in which they are asked for, and what each is connected to. */
struct watched {
    int n, *fds, *peers;
};

/* `n` of them, with numbers as low as can be: select takes none above 1,023. */
static struct watched sockets(int n)
{
    struct watched made = {n, calloc((size_t)n, sizeof(int)), calloc((size_t)n, sizeof(int))};
    int ends[2];
    need_files(2L * n + 64);
    for (int i = 0; i < n; i++) {
        MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
        made.fds[i] = ends[0];
        made.peers[i] = MUST(fcntl(ends[1], F_DUPFD, n + 32));
        close(ends[1]);
    }
    return made;
}

/* Let `k`, evenly spread, be ready and the others not. */
static void let_be_ready(const struct watched *watched, int k)
{
    char byte = 0;
    for (int i = 0; i < watched->n; i++)
        (void)!read(watched->fds[i], &byte, 1);
    for (int i = 0; i < k; i++)
        MUST(write(watched->peers[((long)i * watched->n + watched->n / 2) / k], &byte, 1));
}

/* Enough calls that a sample is no matter of the clock, and not so many that it takes long. */
static int calls_by_descriptors(int n) { return n < 1000 ? 1000 / n : 1; }

/* epoll_wait, level-triggered, with 0, 1, 10, ... of `argument[0]` descriptors ready, then
 * EPOLL_CTL_MOD, and EPOLL_CTL_DEL with EPOLL_CTL_ADD, of one of them. Nobody sleeps. */
PROBE(epoll)
{
    static struct epoll_event events[MOST_EVENTS];
    int n = (int)argument[0];
    struct watched watched = sockets(n);
    int epoll = MUST(epoll_create1(0));
    for (int i = 0; i < n; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = watched.fds[i]};
        MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, watched.fds[i], &event));
    }
    for (int k = 0; k <= n && k <= 1000; k = k ? k * 10 : 1) {
        let_be_ready(&watched, k);
        MEASURE(figure("epoll_wait", "n=%d;k=%d", n, k), k > 10 ? 10 : 100,
                if (epoll_wait(epoll, events, MOST_EVENTS, 0) != k) give_up("epoll_wait: %m"));
    }
    int fd = watched.fds[n / 2];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    MEASURE(figure("epoll_ctl_mod", "n=%d", n), 100, epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
    MEASURE(figure("epoll_ctl_del+add", "n=%d", n), 50, epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

/* poll of `argument[0]` descriptors, the middle one of which is ready, with a
 * time-out of zero: it scans, and registers nowhere. */
PROBE(poll_ready)
{
    int n = (int)argument[0];
    struct watched watched = sockets(n);
    struct pollfd *asked = calloc((size_t)n, sizeof *asked);
    for (int i = 0; i < n; i++)
        asked[i] = (struct pollfd){.fd = watched.fds[i], .events = POLLIN};
    let_be_ready(&watched, 1);
    MEASURE(figure("poll", "n=%d;k=1", n), calls_by_descriptors(n),
            if (poll(asked, (nfds_t)n, 0) != 1) give_up("poll: %m"));
}

static void all_of(const struct watched *watched, fd_set *set)
{
    FD_ZERO(set);
    for (int i = 0; i < watched->n; i++)
        FD_SET(watched->fds[i], set);
}

/* The same with select, of at most 1,000 descriptors; its set is copied anew each time. */
PROBE(select_ready)
{
    int n = (int)argument[0];
    struct watched watched = sockets(n);
    fd_set asked, found;
    struct timeval no_time = {0};
    all_of(&watched, &asked);
    let_be_ready(&watched, 1);
    MEASURE(figure("select", "n=%d;k=1", n), calls_by_descriptors(n), found = asked;
            if (select(watched.fds[n - 1] + 1, &found, NULL, NULL, &no_time) != 1) give_up("select: %m"));
}

/* On the sleeper's core: it runs once select has gone to sleep. */
static void *send_again_and_again(void *socket)
{
    for (char byte = 0;; sched_yield())
        (void)!write(*(int *)socket, &byte, 1);
    return NULL;
}

/* The CPU time of a select of `argument[0]` descriptors that goes to sleep, until the last of
 * them is made ready by another thread on the same core: two passes over the descriptors,
 * registering on each but the last, and a switch away. Leaves out the wake-up of another core. */
PROBE(blocking_select)
{
    int n = (int)argument[0];
    struct watched watched = sockets(n);
    struct figure *blocking = figure("blocking_select", "n=%d", n);
    fd_set asked, found;
    char bytes[4096];
    all_of(&watched, &asked);
    start_thread(place.server_cpu, send_again_and_again, &watched.peers[n - 1]);
    for (int i = -5; i < place.samples;) {
        (void)!read(watched.fds[n - 1], bytes, sizeof bytes);
        found = asked;
        long slept = switches();
        int64_t begun_ns = cpu_ns();
        int ready = select(watched.fds[n - 1] + 1, &found, NULL, NULL, NULL);
        int64_t took_ns = cpu_ns() - begun_ns;
        if (ready != 1)
            give_up("select: %m");
        if (switches() == slept) /* it was ready before it was asked for */
            continue;
        if (i++ >= 0)
            add(blocking, (double)took_ns - cpu_cost_ns());
    }
}
