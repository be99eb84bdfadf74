/* I/O multiplexing with poll(2): one thread, every descriptor looked at on each call. The twin of
 * iosim/io_models/poll.py. */

#define _GNU_SOURCE
#include <poll.h>
#include <time.h>

#include "jobs.h"

MODEL("poll")

/* What is passed to poll, in no order, and where in it each descriptor is. */
struct descriptors {
    struct jobs jobs; /* first, so that a callback finds its descriptors */
    struct pollfd *all;
    size_t *places;
    size_t count, room;
};

static void add(struct jobs *jobs, struct socket *socket)
{
    struct descriptors *set = (struct descriptors *)jobs;
    size_t fd = (size_t)socket->fd;
    if (fd >= set->room) {
        set->room = 2 * fd + 64;
        set->all = realloc(set->all, set->room * sizeof *set->all);
        set->places = realloc(set->places, set->room * sizeof *set->places);
        if (!set->all || !set->places)
            give_up("no memory");
    }
    set->places[fd] = set->count;
    set->all[set->count++] = (struct pollfd){.fd = socket->fd, .events = POLLIN};
}

/* Its place is the last one's from now on. */
static void forget(struct jobs *jobs, struct socket *socket)
{
    struct descriptors *set = (struct descriptors *)jobs;
    size_t place = set->places[socket->fd];
    set->all[place] = set->all[--set->count];
    set->places[set->all[place].fd] = place;
}

static void wait_for(struct jobs *jobs, struct socket *socket, enum events events)
{
    struct descriptors *set = (struct descriptors *)jobs;
    set->all[set->places[socket->fd]].events = events == WRITABLE ? POLLOUT : POLLIN;
}

/* poll(2), or with a finer timeout ppoll(2); -1 ns: for ever. */
static int wait_on(struct descriptors *set, int64_t timeout_ns)
{
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int count = timeout_ns > 0 ? ppoll(set->all, set->count, &timeout, NULL)
                               : poll(set->all, set->count, (int)timeout_ns);
    if (count < 0)
        count = 0; /* a signal */
    COUNT(set->jobs.server, waits, 1);
    COUNT(set->jobs.server, wait_events, count);
    return count;
}

/* The event loop around poll. */
static void run(struct server *server)
{
    struct descriptors set = {
        .jobs = {.server = server, .watch = add, .wait_for = wait_for, .forget = forget}};
    struct jobs *jobs = &set.jobs;
    set_nonblocking(server->listener);
    add(jobs, server->listener);
    for (;;) {
        int ready = wait_on(&set, timeout_of(jobs)), left = ready;
        for (size_t i = 0; left && i < set.count;) {
            int fd = set.all[i].fd;
            struct socket *socket = socket_of(fd), *connection;
            if (set.all[i].revents) {
                set.all[i].revents = 0;
                left--;
                if (socket == server->listener) {
                    while ((connection = accept_connection(socket, true)))
                        add(jobs, connection);
                } else {
                    on_readable(jobs, socket);
                }
            }
            if (set.all[i].fd == fd) /* else it has been closed: here is another now */
                i++;
        }
        run_due(jobs);
        if (server->own_work && !ready)
            do_chunk(server);
    }
}
