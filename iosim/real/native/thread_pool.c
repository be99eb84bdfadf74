/* A pool of threads that block: one thread waits for readiness, others serve. The twin of
 * iosim/io_models/thread_pool.py. */

#include <errno.h>
#include <sys/epoll.h>

#include "handler.h"

MODEL("thread_pool")

/* What main and workers share. */
static struct pool {
    struct server *server;
    int epoll;
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    struct socket *first, *last; /* to be read from, where the workers read */
    struct queue requests;       /* to be served, where main reads */
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER};

static void watch(int operation, struct socket *socket, uint32_t flags)
{
    struct epoll_event event = {EPOLLIN | flags, {.ptr = socket}};
    MUST(epoll_ctl(pool.epoll, operation, socket->fd, &event));
}

/* Queue `connection` or `request`, and signal a worker. */
static void put_in(struct socket *connection, struct request *request)
{
    lock(&pool.mutex);
    if (request) {
        put(&pool.requests, request);
    } else {
        connection->next = NULL;
        if (pool.first)
            pool.last->next = connection;
        else
            pool.first = connection;
        pool.last = connection;
    }
    pthread_cond_signal(&pool.not_empty);
    unlock(&pool.mutex);
}

/* Serve what is in the queue, for ever. */
static void work(void *argument)
{
    struct server *server = argument;
    enlist(server);
    for (;;) {
        lock(&pool.mutex);
        while (!pool.first && !pool.requests.first)
            pthread_cond_wait(&pool.not_empty, &pool.mutex);
        struct request *request = take(&pool.requests);
        struct socket *connection = pool.first;
        if (connection)
            pool.first = connection->next;
        unlock(&pool.mutex);
        if (connection && !(request = await_request(server, connection))) {
            close_socket(connection);
            continue;
        }
        serve(server, request);
        answer(server, request);
        if (connection)
            watch(EPOLL_CTL_MOD, connection, EPOLLONESHOT);
    }
}

/* Main's part where it reads. */
static void read_from(struct socket *connection)
{
    struct request *request;
    enum received what = receive(pool.server, connection, &request);
    if (what == CLOSED)
        close_socket(connection);
    else if (what == MESSAGE)
        put_in(connection, request);
}

/* Start the workers; accept, and queue what is ready. */
static void run(struct server *server)
{
    const struct plan *plan = server->plan;
    bool main_reads = option_is(plan, "reader", "main");
    int max_events = (int)option_number(plan, "max_events", 512);
    struct epoll_event *events = allocate((size_t)max_events, sizeof *events);
    pool.server = server;
    pool.epoll = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
    set_nonblocking(server->listener);
    watch(EPOLL_CTL_ADD, server->listener, 0);
    for (int64_t i = option_number(plan, "threads", 8); i; i--)
        spawn(work, server);
    for (;;) {
        int count = epoll_wait(pool.epoll, events, max_events, server->own_work ? 0 : -1);
        if (count < 0 && errno != EINTR)
            MUST(count);
        COUNT(server, waits, 1);
        COUNT(server, wait_events, count < 0 ? 0 : count);
        for (int i = 0; i < count; i++) {
            struct socket *socket = events[i].data.ptr, *connection;
            if (socket == server->listener) {
                while ((connection = accept_connection(socket, false)))
                    watch(EPOLL_CTL_ADD, connection, main_reads ? 0 : EPOLLONESHOT);
            } else if (main_reads) {
                read_from(socket);
            } else {
                put_in(socket, NULL);
            }
        }
        if (server->own_work && count <= 0)
            do_chunk(server);
    }
}
