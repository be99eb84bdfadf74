/* The socket devices: stations which answer each query after its service time.
 *
 *     query 1   ####........####___ answer       at most `concurrency` at once in service,
 *     query 2        ___####........#### ...     the others wait in the order they came
 *
 * All devices have one port, as a query names its device. Mirrors iosim/devices/remote.py: a
 * failing query that takes no time is an error `at once`, and takes no place either.
 *
 * Not done: stalls.
 */

#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection of the server's. Never freed, but used again: calls may still be under way. */
struct link {
    struct watched watched; /* the first: on_ready gets it */
    uint32_t tag;           /* how often it has been closed */
    size_t have;
    char part[QUERY_BYTES]; /* what has come of the next query */
    struct link *next_free;
};

struct call {
    struct link *link;
    uint32_t tag;
    struct call *next;
    union {
        struct query query;
        char bytes[QUERY_BYTES];
    };
};

struct station {
    int64_t busy, concurrency;
    struct call *first, *last;
};

static struct watched listener;
static struct station stations[MOST_DEVICES];
static struct link *free_links;
static struct call *free_calls;

static void hang_up(struct link *link)
{
    close(link->watched.fd);
    link->watched.fd = -1;
    link->tag++;
    link->next_free = free_links;
    free_links = link;
}

static void answer(struct call *call)
{
    struct link *link = call->link;
    /* Who does not read its answers is not worth a queue. */
    if (link->tag == call->tag
        && send(link->watched.fd, call->bytes, QUERY_BYTES, MSG_NOSIGNAL) != QUERY_BYTES)
        hang_up(link);
    call->next = free_calls;
    free_calls = call;
}

static void end_service(void *what, uint32_t tag, int64_t due_ns);

static void begin_service(struct call *call, int64_t at_ns)
{
    heap_add(&timers, (struct timer){at_ns + call->query.service_ns, end_service, call, 0});
}

static void end_service(void *what, uint32_t tag, int64_t due_ns)
{
    (void)tag;
    struct call *call = what, *next;
    struct station *station = &stations[call->query.device];
    answer(call);
    next = station->first;
    if (next) {
        station->first = next->next;
        begin_service(next, due_ns);
    } else {
        station->busy--;
    }
}

static void enter(struct link *link, const char *bytes, int64_t now)
{
    struct call *call = free_calls;
    if (call)
        free_calls = call->next;
    else
        call = allocate(1, sizeof *call);
    call->link = link;
    call->tag = link->tag;
    call->next = NULL;
    memcpy(call->bytes, bytes, QUERY_BYTES);
    if (call->query.device >= plan->n_devices || call->query.service_ns < 0)
        give_up("a query to device %d, of %lld ns", call->query.device,
                (long long)call->query.service_ns);
    struct station *station = &stations[call->query.device];
    if (call->query.failed && !call->query.service_ns) {
        answer(call);
    } else if (!station->concurrency || station->busy < station->concurrency) {
        station->busy++;
        begin_service(call, now);
    } else {
        if (station->first)
            station->last->next = call;
        else
            station->first = call;
        station->last = call;
    }
}

static void on_query(struct watched *watched, uint32_t events)
{
    (void)events;
    struct link *link = (struct link *)watched;
    static char chunk[64 * QUERY_BYTES];
    if (watched->fd < 0)
        return;
    memcpy(chunk, link->part, link->have);
    ssize_t got = recv(watched->fd, chunk + link->have, sizeof chunk - link->have, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        hang_up(link);
        return;
    }
    int64_t now = now_ns();
    size_t have = link->have + (size_t)got, used = 0;
    uint32_t tag = link->tag;
    for (; have - used >= QUERY_BYTES && link->tag == tag; used += QUERY_BYTES)
        enter(link, chunk + used, now);
    if (link->tag == tag) {
        link->have = have - used;
        memcpy(link->part, chunk + used, link->have);
    }
}

static void on_connection(struct watched *watched, uint32_t events)
{
    (void)events;
    int fd, one = 1;
    while ((fd = accept4(watched->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct link *link = free_links;
        if (link)
            free_links = link->next_free;
        else
            link = allocate(1, sizeof *link);
        link->watched = (struct watched){fd, on_query};
        link->have = 0;
        watch(&link->watched, EPOLLIN);
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        give_up("accept of a device: %s", strerror(errno));
}

int start_devices(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    for (int i = 0; i < plan->n_devices; i++)
        stations[i].concurrency = plan->devices[i].concurrency;
    listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    listener.on_ready = on_connection;
    if (listener.fd < 0 || bind(listener.fd, (struct sockaddr *)&address, length) < 0
        || listen(listener.fd, 4096) < 0
        || getsockname(listener.fd, (struct sockaddr *)&address, &length) < 0)
        give_up("the devices' port: %s", strerror(errno));
    watch(&listener, EPOLLIN);
    return ntohs(address.sin_port);
}
