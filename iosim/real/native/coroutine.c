/* Coroutines: one thread, many flows of control, each written as if it could block. The twin of
 * iosim/io_models/coroutine.py. */

#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#include "jobs.h"
#include "switching.h"

MODEL("coroutine")

/* Nothing: and a hang-up is reported but once. */
#define NOTHING EPOLLONESHOT
#define STACK_BYTES 32768

/* There is one, as there is one thread. */
static struct scheduler {
    struct server *server;
    int epoll;
    size_t stack_bytes;
    struct coroutines runnable;
    struct sleepers sleepers;
} scheduler;

static void start(void (*program)(void *), void *argument);
static void watch(struct socket *socket);
static void suspend_for(struct socket *socket, uint32_t events);
static void sleep_until(struct request *request, int64_t due_ns);
static void readable(struct socket *socket) { suspend_for(socket, EPOLLIN); }
static void writable(struct socket *socket) { suspend_for(socket, EPOLLOUT); }

/* ------------------------------------------------------ what the programmer writes */

/* Go through all steps of `request`; others run while one blocks. */
static void handle(struct server *server, struct request *request)
{
    const struct step *step;
    while ((step = next_step(server, request)) && !gave_up(server, request)) {
        if (step->kind == STEP_CPU) {
            burn(amount_of(server, request));
        } else if (step->kind == STEP_SLEEP) {
            sleep_until(request, now_ns() + amount_of(server, request));
        } else if (blocks(server, step)) {
            call(server, request, step);
        } else {
            bool is_new;
            struct socket *socket = connection_to(server, step->device, true, &is_new);
            enum received what;
            if (is_new)
                watch(socket);
            do {
                ask(socket, server, request);
                do {
                    readable(socket);
                    what = receive(server, socket, &request);
                } while (what == PARTIAL || what == AGAIN);
                if (what == CLOSED)
                    give_up("a device has hung up");
            } while (try_again(server, request));
            release(server, socket);
        }
    }
}

/* Serve one connection to its end. */
static void converse(void *argument)
{
    struct server *server = scheduler.server;
    struct socket *connection = argument;
    struct request *request;
    enum received what;
    watch(connection);
    for (;;) {
        readable(connection);
        what = receive(server, connection, &request);
        if (what == CLOSED)
            break;
        if (what != MESSAGE)
            continue;
        handle(server, request);
        while (send_reply(server, request) == PART)
            writable(connection);
        free(request);
    }
    close_socket(connection);
}

/* Accept each connection and give it a coroutine. */
static void accept_all(void *argument)
{
    struct socket *listener = argument, *connection;
    set_nonblocking(listener);
    watch(listener);
    for (;;) {
        readable(listener);
        while ((connection = accept_connection(listener, true)))
            start(converse, connection);
    }
}

/* ------------------------------------------------------------- what makes it work */

/* Let a coroutine run when its turn comes. */
static void start(void (*program)(void *), void *argument)
{
    append(&scheduler.runnable, new_coroutine(scheduler.stack_bytes, program, argument));
}

static void control(int operation, struct socket *socket, uint32_t events)
{
    struct epoll_event event = {events, {.ptr = socket}};
    MUST(epoll_ctl(scheduler.epoll, operation, socket->fd, &event));
    socket->watched = events;
}

/* Let coroutines wait for `socket`. */
static void watch(struct socket *socket) { control(EPOLL_CTL_ADD, socket, EPOLLIN); }

/* Let others run until what is waited for in `socket` is there. */
static void suspend_for(struct socket *socket, uint32_t events)
{
    if (socket->watched != events)
        control(EPOLL_CTL_MOD, socket, events);
    socket->waiter = current_coroutine();
    suspend();
}

/* Let others run until `due_ns`. */
static void sleep_until(struct request *request, int64_t due_ns)
{
    request->due_ns = due_ns;
    request->sleeper = current_coroutine();
    add_sleeper(&scheduler.sleepers, request);
    suspend();
}

/* epoll_wait(2), or with a finer timeout epoll_pwait2(2); -1 ns: for ever. */
static int wait_on(struct epoll_event *events, int most, int64_t timeout_ns)
{
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int count = timeout_ns > 0 ? epoll_pwait2(scheduler.epoll, events, most, &timeout, NULL)
                               : epoll_wait(scheduler.epoll, events, most, (int)timeout_ns);
    if (count < 0 && errno != EINTR)
        MUST(count);
    COUNT(scheduler.server, waits, 1);
    COUNT(scheduler.server, wait_events, count < 0 ? 0 : count);
    return count;
}

/* Start the accepting coroutine; resume whoever can go on; when nobody can, wait. */
static void run(struct server *server)
{
    const struct plan *plan = server->plan;
    int max_events = (int)option_number(plan, "max_events", 512);
    struct epoll_event *events = allocate((size_t)max_events, sizeof *events);
    struct coroutine *coroutine;
    struct request *request;
    if (option_is(plan, "flavour", "greenlet"))
        give_up("coroutine: greenlets are CPython's");
    if (option_is(plan, "flavour", "longjmp"))
        switch_by_longjmp();
    int64_t stack_bytes = option_number(plan, "stack", 0);
    scheduler.server = server;
    scheduler.stack_bytes = stack_bytes ? (size_t)stack_bytes : STACK_BYTES;
    scheduler.epoll = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
    start(accept_all, server->listener);
    for (;;) {
        while ((coroutine = take_first(&scheduler.runnable)))
            resume(server, coroutine);
        int64_t timeout_ns = server->own_work ? 0 : next_due(&scheduler.sleepers);
        int count = wait_on(events, max_events, timeout_ns);
        for (int i = 0; i < count; i++) {
            struct socket *socket = events[i].data.ptr;
            if (socket->waiter) {
                append(&scheduler.runnable, socket->waiter);
                socket->waiter = NULL;
            } else if (socket->watched != NOTHING) {
                /* Its coroutine waits for something else: let it not be reported for now. */
                control(EPOLL_CTL_MOD, socket, NOTHING);
            }
        }
        while ((request = take_due(&scheduler.sleepers)))
            append(&scheduler.runnable, request->sleeper);
        if (server->own_work && !scheduler.runnable.first)
            do_chunk(server);
    }
}
