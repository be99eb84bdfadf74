/* I/O multiplexing with epoll(7): a thread, or some, told what is ready. The twin of
 * iosim/io_models/epoll.py. */

#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <string.h>
#include <time.h>

#include "jobs.h"

static int64_t listeners(const struct plan *plan)
{
    return option_is(plan, "sharing", "reuseport") ? option_number(plan, "workers", 1) : 1;
}

DECLARE_MODEL(.name = "epoll", .listeners = listeners)

struct loop {
    struct jobs jobs; /* first, so that a callback finds its loop */
    struct server server;
    int epoll;        /* -1: it makes its own */
    uint32_t trigger; /* EPOLLET, EPOLLONESHOT, or 0: level */
    int64_t workers;
};

static void watch(struct jobs *jobs, struct socket *socket)
{
    struct loop *loop = (struct loop *)jobs;
    struct epoll_event event = {EPOLLIN | loop->trigger, {.ptr = socket}};
    MUST(epoll_ctl(loop->epoll, EPOLL_CTL_ADD, socket->fd, &event));
}

static void wait_for(struct jobs *jobs, struct socket *socket, enum events events)
{
    struct loop *loop = (struct loop *)jobs;
    struct epoll_event event = {(events == WRITABLE ? EPOLLOUT : EPOLLIN) | loop->trigger,
                                {.ptr = socket}};
    /* It may fail: another worker may have closed it. */
    epoll_ctl(loop->epoll, EPOLL_CTL_MOD, socket->fd, &event);
}

/* A new epoll, which watches the listener. */
static int watch_listener(struct server *server)
{
    bool exclusive = option_number(server->plan, "workers", 1) > 1
                     && option_is(server->plan, "sharing", "exclusive");
    struct epoll_event event = {EPOLLIN | (exclusive ? EPOLLEXCLUSIVE : 0),
                                {.ptr = server->listener}};
    int epoll = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
    set_nonblocking(server->listener);
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, server->listener->fd, &event));
    return epoll;
}

/* epoll_wait(2), or with a finer timeout epoll_pwait2(2); -1 ns: for ever. */
static int wait_on(struct server *server, int epoll, struct epoll_event *events, int most,
                   int64_t timeout_ns)
{
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int count = timeout_ns > 0 ? epoll_pwait2(epoll, events, most, &timeout, NULL)
                               : epoll_wait(epoll, events, most, (int)timeout_ns);
    if (count < 0 && errno != EINTR)
        MUST(count);
    COUNT(server, waits, 1);
    COUNT(server, wait_events, count < 0 ? 0 : count);
    return count;
}

/* The event loop around epoll_wait, on an epoll of its own if it is given none. */
static void event_loop(void *argument)
{
    struct loop *loop = argument;
    struct jobs *jobs = &loop->jobs;
    struct server *server = &loop->server;
    const struct plan *plan = server->plan;
    int max_events = (int)option_number(plan, "max_events", 512);
    int64_t min_wait_ns = option_number(plan, "min_wait", 0);
    struct epoll_event *events = allocate((size_t)max_events, sizeof *events);
    if (loop->workers > 1)
        enlist(server);
    if (loop->epoll < 0)
        loop->epoll = watch_listener(server);
    for (;;) {
        if (min_wait_ns)
            sleep_for(min_wait_ns);
        int count = wait_on(server, loop->epoll, events, max_events, timeout_of(jobs));
        for (int i = 0; i < count; i++) {
            struct socket *socket = events[i].data.ptr, *connection;
            if (socket == server->listener) {
                while ((connection = accept_connection(socket, true))) {
                    watch(jobs, connection);
                    if (loop->workers > 1)
                        break;
                }
            } else if (loop->trigger == EPOLLET) {
                while (on_readable(jobs, socket))
                    ;
            } else {
                on_readable(jobs, socket);
                if (loop->trigger == EPOLLONESHOT && socket->is_open)
                    wait_for(jobs, socket, may_read(socket) ? READABLE : WRITABLE);
            }
        }
        run_due(jobs);
        if (server->own_work && count <= 0)
            do_chunk(server);
    }
}

/* Run the event loop, in as many threads as there are workers, with what they have in common. */
static void run(struct server *server)
{
    const struct plan *plan = server->plan;
    int64_t workers = option_number(plan, "workers", 1);
    bool shared = strcmp(option_text(plan, "sharing", "shared_epoll"), "shared_epoll") == 0;
    int epoll = workers > 1 && shared ? watch_listener(server) : -1;
    uint32_t trigger = option_is(plan, "trigger", "edge")      ? EPOLLET
                       : option_is(plan, "trigger", "oneshot") ? EPOLLONESHOT
                                                               : 0;
    struct loop *loops = allocate((size_t)workers, sizeof *loops);
    for (int64_t i = 0; i < workers; i++) {
        struct loop *loop = &loops[i];
        loop->server = *server;
        loop->jobs = (struct jobs){.server = &loop->server, .watch = watch, .wait_for = wait_for};
        loop->epoll = epoll;
        loop->workers = workers;
        loop->trigger = trigger;
        if (i) {
            loop->server.own_work = false;
            if (!shared) /* a device's connection is watched by one epoll */
                loop->server.idle = no_idle(plan);
            if (option_is(plan, "sharing", "reuseport"))
                loop->server.listener = server->listeners[i];
        }
    }
    for (int64_t i = 1; i < workers; i++)
        spawn(event_loop, &loops[i]);
    event_loop(&loops[0]);
}
