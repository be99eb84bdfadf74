/* See sockets.h. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handler.h"

static struct socket **sockets; /* by descriptor */
static size_t least_bytes;      /* of a request */
static int device_port;

void prepare_sockets(const struct plan *plan, int devices_port)
{
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    sockets = allocate(limit.rlim_cur, sizeof *sockets);
    device_port = devices_port;
    least_bytes = MOST_BYTES;
    for (int64_t row = 0; row < plan->rows; row++) {
        size_t bytes = (size_t)plan_row(plan, (uint32_t)row)[REQUEST_BYTES];
        if (bytes < least_bytes)
            least_bytes = bytes;
    }
    if (least_bytes < sizeof(struct header))
        least_bytes = sizeof(struct header);
}

/* ---------------------------------------------------------------- opening and closing */

struct socket *socket_of(int fd) { return sockets[fd]; }

struct socket *adopt(int fd, enum kind kind)
{
    struct socket *socket = sockets[fd];
    if (!socket) {
        socket = allocate(1, sizeof *socket);
        pthread_mutex_init(&socket->receiving, NULL);
        pthread_mutex_init(&socket->sending, NULL);
        socket->fd = fd;
        sockets[fd] = socket;
    }
    lock(&socket->receiving);
    lock(&socket->sending);
    socket->kind = kind;
    socket->have_bytes = 0;
    socket->wanted_bytes = kind == DEVICE ? QUERY_BYTES : least_bytes;
    socket->is_open = true;
    unlock(&socket->sending);
    unlock(&socket->receiving);
    return socket;
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

struct socket *listen_on(const struct plan *plan, int port)
{
    int fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), on = 1;
    struct sockaddr_in address = loopback(port);
    MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
    /* Connections inherit these; the kernel doubles the size that it is given. */
    MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    if (plan->send_buffer_bytes) {
        int bytes = (int)(plan->send_buffer_bytes / 2);
        MUST(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes));
    }
    MUST(bind(fd, (struct sockaddr *)&address, sizeof address));
    MUST(listen(fd, (int)plan->backlog));
    return adopt(fd, LISTENER);
}

int port_of(const struct socket *listener)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    MUST(getsockname(listener->fd, (struct sockaddr *)&address, &size));
    return ntohs(address.sin_port);
}

void set_nonblocking(struct socket *socket) { MUST(fcntl(socket->fd, F_SETFL, O_NONBLOCK)); }

struct socket *accept_connection(struct socket *listener, bool nonblocking)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0));
    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
        return NULL;
    return adopt((int)must(fd, "accept4"), CONNECTION);
}

struct socket *connect_device(int device, bool nonblocking)
{
    int fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), on = 1;
    struct sockaddr_in address = loopback(device_port);
    MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    MUST(connect(fd, (struct sockaddr *)&address, sizeof address));
    struct socket *socket = adopt(fd, DEVICE);
    socket->device = device;
    if (nonblocking)
        set_nonblocking(socket);
    return socket;
}

void close_socket(struct socket *socket)
{
    if (pthread_mutex_trylock(&socket->sending)) { /* somebody may sleep in send */
        shutdown(socket->fd, SHUT_RDWR);
        lock(&socket->sending);
    }
    for (struct request *request; (request = take(&socket->unsent));)
        free(request);
    free(socket->out);
    socket->out = NULL;
    socket->out_bytes = socket->sent_bytes = 0;
    socket->caller = NULL;
    socket->waiter = NULL;
    socket->watched = 0;
    socket->life++;
    close(socket->fd); /* from now on the descriptor may be another's */
    unlock(&socket->sending);
}

/* ------------------------------------------------------------------------- receiving */

enum received receive(struct server *server, struct socket *socket, struct request **request)
{
    static _Thread_local char buffer[READ_BYTES];
    enum received what = AGAIN;
    lock(&socket->receiving);
    if (socket->is_open) {
        long count = recv(socket->fd, buffer, missing_bytes(socket), 0);
        what = take_in(server, socket, buffer, count < 0 ? -errno : count, request);
    }
    unlock(&socket->receiving);
    return what;
}

size_t missing_bytes(const struct socket *socket)
{
    size_t bytes = socket->wanted_bytes - socket->have_bytes;
    return bytes < READ_BYTES ? bytes : READ_BYTES;
}

/* The request that `header` begins. */
static struct request *new_request(const struct plan *plan, struct socket *connection,
                                   struct header header)
{
    const int64_t *row = plan_row(plan, header.row);
    struct request *request = allocate(1, sizeof *request);
    request->connection = connection;
    request->life = connection->life;
    request->row = header.row;
    request->reply_bytes = (size_t)row[REPLY_BYTES];
    if (request->reply_bytes < sizeof header)
        request->reply_bytes = sizeof header;
    request->columns = row;
    return request;
}

/* Nonsense has come: whoever still sends hears of it when the socket is closed. After shutdown(2)
 * the kernel tells nobody that a full receive buffer has been read. */
static void reset_when_closed(const struct socket *socket)
{
    struct linger at_once = {1, 0};
    setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

enum received take_in(struct server *server, struct socket *socket, const char *bytes, long count,
                      struct request **request)
{
    if (count == -EAGAIN)
        COUNT(server, wasted_polls, 1);
    if (count == -EAGAIN || count == -EINTR)
        return AGAIN;
    if (count <= 0) {
        socket->is_open = false;
        return CLOSED;
    }
    struct header header;
    size_t had_bytes = socket->have_bytes;
    if (had_bytes < sizeof header) {
        size_t most = sizeof header - had_bytes;
        memcpy(socket->head + had_bytes, bytes, (size_t)count < most ? (size_t)count : most);
    }
    socket->have_bytes += (size_t)count;
    if (socket->have_bytes < sizeof header)
        return PARTIAL;
    memcpy(&header, socket->head, sizeof header);
    if (socket->kind == CONNECTION && had_bytes < sizeof header) {
        if (header.row >= server->plan->rows || header.size < least_bytes
            || header.size > MOST_BYTES) {
            socket->is_open = false;
            reset_when_closed(socket);
            return CLOSED;
        }
        socket->wanted_bytes = header.size;
    }
    if (socket->have_bytes < socket->wanted_bytes)
        return PARTIAL;
    socket->have_bytes = 0;
    if (socket->kind == DEVICE) {
        *request = socket->caller;
    } else {
        socket->wanted_bytes = least_bytes;
        *request = new_request(server->plan, socket, header);
    }
    return MESSAGE;
}

struct request *await_request(struct server *server, struct socket *connection)
{
    struct request *request;
    for (;;) {
        switch (receive(server, connection, &request)) {
        case MESSAGE:
            return request;
        case CLOSED:
            return NULL;
        default:
            break;
        }
    }
}

/* --------------------------------------------------------------------------- sending */

bool is_gone(const struct request *request)
{
    return request->life != request->connection->life || !request->connection->is_open;
}

/* Room for `bytes` in the socket's `out`; what is new of it is filled. */
static void make_room(struct socket *socket, size_t bytes)
{
    if (socket->out_bytes >= bytes)
        return;
    free(socket->out);
    socket->out = allocate(bytes, 1);
    socket->out_bytes = bytes;
    memset(socket->out, REPLY_FILL, bytes);
}

void write_reply(struct request *request)
{
    struct socket *connection = request->connection;
    struct header header = {request->row, (uint32_t)request->reply_bytes};
    if (request->failed)
        header.size |= FAILED;
    make_room(connection, request->reply_bytes);
    memcpy(connection->out, &header, sizeof header);
}

enum sent send_reply(struct server *server, struct request *request)
{
    struct socket *connection = request->connection;
    if (is_gone(request))
        return GONE;
    if (!connection->sent_bytes)
        write_reply(request);
    long count = send(connection->fd, connection->out + connection->sent_bytes,
                      request->reply_bytes - connection->sent_bytes, MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        return GONE;
    if (count > 0)
        connection->sent_bytes += (size_t)count;
    if (connection->sent_bytes < request->reply_bytes)
        return PART;
    connection->sent_bytes = 0;
    count_answered(server);
    return ALL;
}

void answer(struct server *server, struct request *request)
{
    struct socket *connection = request->connection;
    lock(&connection->sending);
    while (send_reply(server, request) == PART)
        ;
    unlock(&connection->sending);
    free(request);
}

void write_query(struct socket *socket, struct server *server, struct request *request)
{
    int64_t attempt = amount_of(server, request);
    struct query query = {request->row, (uint16_t)socket->device, attempt_fails(attempt),
                          attempt_ns(attempt)};
    make_room(socket, QUERY_BYTES);
    memcpy(socket->out, &query, sizeof query);
    socket->caller = request;
}

void ask(struct socket *socket, struct server *server, struct request *request)
{
    write_query(socket, server, request);
    MUST(send(socket->fd, socket->out, QUERY_BYTES, MSG_NOSIGNAL));
}

/* ---------------------------------------------------------------------------- queues */

void put(struct queue *queue, struct request *request)
{
    request->next = NULL;
    if (queue->first)
        queue->last->next = request;
    else
        queue->first = request;
    queue->last = request;
}

struct request *take(struct queue *queue)
{
    struct request *request = queue->first;
    if (request)
        queue->first = request->next;
    return request;
}
