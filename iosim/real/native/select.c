/* I/O multiplexing with select(2): as poll, for descriptors below FD_SETSIZE. The twin of
 * iosim/io_models/select.py. */

#include <errno.h>
#include <sys/select.h>

#include "jobs.h"

MODEL("select")

struct descriptors {
    struct jobs jobs; /* first, so that a callback finds its descriptors */
    fd_set to_read, to_write;
    int highest;
};

static void add(struct jobs *jobs, struct socket *socket)
{
    struct descriptors *set = (struct descriptors *)jobs;
    if (socket->fd >= FD_SETSIZE)
        give_up("select cannot watch descriptors from %d up", FD_SETSIZE);
    FD_SET(socket->fd, &set->to_read);
    if (socket->fd > set->highest)
        set->highest = socket->fd;
}

static void forget(struct jobs *jobs, struct socket *socket)
{
    struct descriptors *set = (struct descriptors *)jobs;
    FD_CLR(socket->fd, &set->to_read);
    FD_CLR(socket->fd, &set->to_write);
    while (!FD_ISSET(set->highest, &set->to_read) && !FD_ISSET(set->highest, &set->to_write))
        set->highest--; /* the listener stays */
}

static void wait_for(struct jobs *jobs, struct socket *socket, enum events events)
{
    struct descriptors *set = (struct descriptors *)jobs;
    FD_SET(socket->fd, events == WRITABLE ? &set->to_write : &set->to_read);
    FD_CLR(socket->fd, events == WRITABLE ? &set->to_read : &set->to_write);
}

/* The event loop around select. */
static void run(struct server *server)
{
    struct descriptors set = {
        .jobs = {.server = server, .watch = add, .wait_for = wait_for, .forget = forget}};
    struct jobs *jobs = &set.jobs;
    set_nonblocking(server->listener);
    add(jobs, server->listener);
    for (;;) {
        fd_set readable = set.to_read, writable = set.to_write;
        int highest = set.highest;
        int64_t timeout_ns = timeout_of(jobs);
        /* Rounded up, or it would be over before the sleep is. */
        struct timeval timeout = {timeout_ns / 1000000000, (timeout_ns % 1000000000 + 999) / 1000};
        int ready = select(highest + 1, &readable, &writable, NULL,
                           timeout_ns < 0 ? NULL : &timeout);
        if (ready < 0 && errno != EINTR)
            MUST(ready);
        COUNT(server, waits, 1);
        COUNT(server, wait_events, ready < 0 ? 0 : ready);
        for (int fd = 0, left = ready; left > 0 && fd <= highest; fd++) {
            struct socket *socket = socket_of(fd), *connection;
            if (!FD_ISSET(fd, &readable) && !FD_ISSET(fd, &writable))
                continue;
            left--;
            if (socket == server->listener) {
                while ((connection = accept_connection(socket, true)))
                    add(jobs, connection);
            } else {
                on_readable(jobs, socket);
            }
        }
        run_due(jobs);
        if (server->own_work && ready <= 0)
            do_chunk(server);
    }
}
