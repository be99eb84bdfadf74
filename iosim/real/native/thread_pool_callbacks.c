/* Callbacks over a thread pool, as Node.js and libuv do it. The twin of
 * iosim/io_models/thread_pool_callbacks.py. */

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "jobs.h"

MODEL("thread_pool_callbacks")

/* What loop and workers share: the work, the results, and their locks. */
struct pool {
    struct queue work;
    pthread_mutex_t work_mutex;
    pthread_cond_t work_there;
    struct queue results;
    pthread_mutex_t results_mutex;
};

static struct loop {
    struct jobs jobs; /* only of its answers; first, so that a callback finds its loop */
    struct server *server;
    int epoll, async_wakeup;
    bool offload_handler;
    struct pool pool;
} loop = {.pool = {.work_mutex = PTHREAD_MUTEX_INITIALIZER,
                   .work_there = PTHREAD_COND_INITIALIZER,
                   .results_mutex = PTHREAD_MUTEX_INITIALIZER}};

static void watch(int operation, int fd, struct socket *socket, uint32_t events)
{
    struct epoll_event event = {events, {.ptr = socket}};
    MUST(epoll_ctl(loop.epoll, operation, fd, &event));
}

static void wait_for(struct jobs *jobs, struct socket *socket, enum events events)
{
    (void)jobs;
    watch(EPOLL_CTL_MOD, socket->fd, socket, events == WRITABLE ? EPOLLOUT : EPOLLIN);
}

/* Hand the request's next step to the pool. */
static void submit(struct request *request)
{
    lock(&loop.pool.work_mutex);
    put(&loop.pool.work, request);
    pthread_cond_signal(&loop.pool.work_there);
    unlock(&loop.pool.work_mutex);
}

/* Do the request's steps up to one for the pool, or answer it. */
static void advance(struct request *request)
{
    const struct plan *plan = loop.server->plan;
    while (!request->failed && request->next_step < plan->n_steps) {
        if (gave_up(loop.server, request)) {
            free(request);
            return;
        }
        if (loop.offload_handler || plan->steps[request->next_step].kind != STEP_CPU) {
            submit(request);
            return;
        }
        next_step(loop.server, request);
        burn(amount_of(loop.server, request));
    }
    reply(&loop.jobs, request);
}

/* Do one piece of work after the other. */
static void work(void *argument)
{
    struct server *server = argument;
    struct pool *pool = &loop.pool;
    uint64_t one = 1;
    for (;;) {
        lock(&pool->work_mutex);
        while (!pool->work.first)
            pthread_cond_wait(&pool->work_there, &pool->work_mutex);
        struct request *request = take(&pool->work);
        unlock(&pool->work_mutex);
        if (loop.offload_handler) {
            serve(server, request);
            request->next_step = server->plan->n_steps;
        } else {
            const struct step *step = next_step(server, request);
            if (step->kind == STEP_SLEEP)
                sleep_for(amount_of(server, request));
            else
                call(server, request, step);
        }
        lock(&pool->results_mutex);
        bool first = !pool->results.first;
        put(&pool->results, request);
        unlock(&pool->results_mutex);
        if (first) /* else the loop has been told and has not looked yet */
            MUST(write(loop.async_wakeup, &one, sizeof one));
    }
}

/* Run the callback of each result that has come in. */
static void call_back(void)
{
    uint64_t count;
    struct request *request;
    MUST(read(loop.async_wakeup, &count, sizeof count));
    lock(&loop.pool.results_mutex);
    struct queue results = loop.pool.results;
    loop.pool.results = (struct queue){0};
    unlock(&loop.pool.results_mutex);
    while ((request = take(&results)))
        advance(request);
}

/* Go on with what has come on a connection. */
static void on_event(struct socket *connection)
{
    struct request *request;
    if (connection->unsent.first) {
        go_on(&loop.jobs, connection);
        return;
    }
    enum received what = receive(loop.server, connection, &request);
    if (what == CLOSED)
        close_socket(connection);
    else if (what == MESSAGE)
        advance(request);
}

/* Start the pool; wait; accept, read, and call back. */
static void run(struct server *server)
{
    const struct plan *plan = server->plan;
    int max_events = (int)option_number(plan, "max_events", 1024);
    struct epoll_event *events = allocate((size_t)max_events, sizeof *events);
    loop.server = server;
    loop.jobs = (struct jobs){.server = server, .wait_for = wait_for};
    loop.offload_handler = option_is(plan, "offload", "handler");
    loop.epoll = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
    loop.async_wakeup = (int)MUST(eventfd(0, EFD_CLOEXEC));
    watch(EPOLL_CTL_ADD, loop.async_wakeup, NULL, EPOLLIN);
    set_nonblocking(server->listener);
    watch(EPOLL_CTL_ADD, server->listener->fd, server->listener, EPOLLIN);
    for (int64_t i = option_number(plan, "threads", 4); i; i--)
        spawn(work, server);
    for (;;) {
        int count = epoll_wait(loop.epoll, events, max_events, server->own_work ? 0 : -1);
        if (count < 0 && errno != EINTR)
            MUST(count);
        COUNT(server, waits, 1);
        COUNT(server, wait_events, count < 0 ? 0 : count);
        for (int i = 0; i < count; i++) {
            struct socket *socket = events[i].data.ptr, *connection;
            if (!socket) {
                call_back();
            } else if (socket == server->listener) {
                while ((connection = accept_connection(socket, true)))
                    watch(EPOLL_CTL_ADD, connection->fd, connection, EPOLLIN);
            } else {
                on_event(socket);
            }
        }
        if (server->own_work && count <= 0)
            do_chunk(server);
    }
}
