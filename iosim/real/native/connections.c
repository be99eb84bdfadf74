/* The connections: they are opened and closed, requests are sent and answers are read, each of
 * which is compared with what was to come.
 *
 *     CLOSED -> OPENING -> OPEN -> CLOSED -> ...
 *
 * A slow sender's pieces and a slow reader's bites have timers; what was to happen on a
 * connection that has been closed meanwhile is known by its tag.
 */

#define _GNU_SOURCE
#include "clients.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections that are being opened at once before the load starts. */
#define CONNECTING 64

/* When a connection is refused, another is tried after so long. */
#define CONNECT_AGAIN_NS 100000000

/* Clients have this many addresses of 127.0.0.0/8: one has 28,000 ports, and a port is not
 * used again for a while. */
#define ADDRESSES 64

#define READ_BYTES 65536

/* A slow reader takes what comes in a ms, but no less and no more than this, at once. */
#define LEAST_PIECE 512
#define MOST_PIECE 16384

/* A slow reader's receive buffer holds what it reads in 10 ms, but no less than this: what it has
 * not read is to wait at the server. Nor do the loopback's own segments, of 64 KiB, fit in. */
#define LEAST_BUFFER 8192
#define SLOW_READER_MSS 1448

static struct sockaddr_in server = {.sin_family = AF_INET};
static void (*on_all_open)(void);
static int64_t n_open, n_connecting;
static struct client *wanting; /* a connection */

static char *message; /* as long as the longest request */
static char chunk[READ_BYTES], reply_fill[READ_BYTES];

void prepare_connections(size_t longest)
{
    message = allocate(1, longest);
    memset(message, REQUEST_FILL, longest);
    memset(reply_fill, REPLY_FILL, sizeof reply_fill);
}

bool may_send(const struct client *client)
{
    return client->link == OPEN && (!plan->lifetime || client->sent < plan->lifetime);
}

/* --------------------------------------------------------------------------------- closing */

void hang_up(struct client *client)
{
    close(client->watched.fd);
    client->watched.fd = -1;
    client->link = CLOSED;
    client->tag++;
    client->sent = 0;
    client->unsent = NULL;
    client->blocked = client->dripping = client->hungry = false;
    client->header_bytes = client->left_bytes = 0;
    for (; client->under_way.first; client->places++) /* their answers are lost */
        take_first(&client->under_way)->under_way = false;
    if (client->pending.first)
        want_connection(client);
}

/* The server has closed the connection, or what it sends makes no sense. */
static void lose(struct client *client, int64_t now)
{
    counts.connections_lost++;
    hang_up(client);
    send_next(client, now);
}

/* --------------------------------------------------------------------------------- sending */

static void drip(void *what, uint32_t tag, int64_t due_ns);

/* Send no more than `most` bytes of the first unsent request; false: there is no room. */
static bool send_some(struct client *client, size_t most, int64_t could_ns)
{
    struct request *request = client->unsent;
    uint32_t size = (uint32_t)plan_row(plan, request->row)[REQUEST_BYTES];
    size_t length = size - request->sent_bytes;
    memcpy(message, &(struct header){request->row, size}, sizeof(struct header));
    if (request->sent_ns == NEVER) {
        request->sent_ns = now_ns();
        request->late_ns = request->sent_ns > could_ns ? request->sent_ns - could_ns : 0;
    }
    ssize_t sent = send(client->watched.fd, message + request->sent_bytes,
                        length < most ? length : most, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            lose(client, now_ns());
        return false;
    }
    request->sent_bytes += (uint32_t)sent;
    if (request->sent_bytes == size)
        client->unsent = request->next;
    return (size_t)sent == (length < most ? length : most);
}

static uint32_t wanted_events(const struct client *client)
{
    return EPOLLIN | (plan->receive_bytes_per_s ? EPOLLET : 0u)
           | (client->blocked ? EPOLLOUT : 0u);
}

/* Send all there is to send, or wait for room. */
static void flush(struct client *client, int64_t could_ns)
{
    uint32_t tag = client->tag;
    while (client->unsent && send_some(client, SIZE_MAX, could_ns))
        ;
    if (client->tag == tag && client->blocked != !!client->unsent) {
        client->blocked = !client->blocked;
        watch_for(&client->watched, wanted_events(client));
    }
}

/* A slow sender's next piece; the one after it follows `gap_ns` later, also if that is of
 * another request. */
static void drip(void *what, uint32_t tag, int64_t due_ns)
{
    struct client *client = what;
    if (client->tag != tag)
        return;
    client->dripping = client->unsent != NULL;
    if (!client->unsent)
        return;
    send_some(client, (size_t)plan->piece_bytes, due_ns);
    if (client->tag == tag)
        heap_add(&timers, (struct timer){due_ns + plan->gap_ns, drip, client, tag});
}

void send_on(struct client *client, struct request *request, int64_t could_ns)
{
    client->sent++;
    request->under_way = true;
    append(&client->under_way, request);
    if (!client->unsent)
        client->unsent = request;
    if (client->number >= plan->slow)
        flush(client, could_ns);
    else if (!client->dripping)
        drip(client, client->tag, could_ns);
}

/* ------------------------------------------------------------------------------- receiving */

/* Whether a call of the request's must have failed for good, and so its answer is an error. */
static bool must_fail(const int64_t *row)
{
    for (int i = 0; i < plan->n_steps; i++) {
        const struct step *step = &plan->steps[i];
        int attempt = 0;
        while (attempt < step->attempts && attempt_fails(row[step->column + attempt]))
            attempt++;
        if (step->kind == STEP_CALL && attempt == step->attempts)
            return true;
    }
    return false;
}

/* The answer's header has come: whose is it? False: what follows cannot be understood. */
static bool begin_answer(struct client *client)
{
    uint32_t size = client->header.size & ~FAILED;
    bool failed = client->header.size & FAILED;
    struct request *request = client->under_way.first;
    while (request && request != client->unsent && request->row != client->header.row)
        request = request->next;
    client->answered = request == client->unsent ? NULL : request;
    if (client->answered) {
        const int64_t *row = plan_row(plan, client->header.row);
        client->bad = size != row[REPLY_BYTES] || failed != must_fail(row);
    } else {
        client->bad = true;
    }
    client->left_bytes = size - (uint32_t)sizeof(struct header);
    return size >= sizeof(struct header) && size <= MOST_BYTES;
}

/* The answer is there as a whole. */
static void end_answer(struct client *client, int64_t now)
{
    client->header_bytes = 0;
    counts.wrong += client->bad;
    if (client->answered)
        answered(client->answered, client->header.size & FAILED, now);
}

/* `length` bytes have been read from the connection into `chunk`. */
static void take_in(struct client *client, size_t length, int64_t now)
{
    uint32_t tag = client->tag;
    const char *bytes = chunk, *end = chunk + length;
    while (bytes < end && client->tag == tag) {
        size_t most = (size_t)(end - bytes);
        if (client->header_bytes < sizeof client->header) {
            size_t part = sizeof client->header - client->header_bytes;
            part = part < most ? part : most;
            memcpy((char *)&client->header + client->header_bytes, bytes, part);
            client->header_bytes += (uint32_t)part;
            bytes += part;
            if (client->header_bytes < sizeof client->header)
                return;
            if (!begin_answer(client)) {
                counts.wrong++;
                lose(client, now);
                return;
            }
        } else {
            size_t part = client->left_bytes < most ? client->left_bytes : most;
            client->bad |= memcmp(bytes, reply_fill, part) != 0;
            client->left_bytes -= (uint32_t)part;
            bytes += part;
        }
        if (!client->left_bytes)
            end_answer(client, now);
    }
}

/* Read once, `most` bytes at most; how many there were. */
static size_t receive(struct client *client, size_t most)
{
    ssize_t got = recv(client->watched.fd, chunk, most, 0);
    int64_t now = now_ns();
    if (got > 0) {
        take_in(client, (size_t)got, now);
        return (size_t)got;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        lose(client, now);
    return 0;
}

/* How much a slow reader reads next: not more than of this answer is to come, so that its end
 * is read when its time has come. */
static size_t bite(const struct client *client)
{
    size_t piece = (size_t)plan->receive_bytes_per_s / 1000;
    piece = piece < LEAST_PIECE ? LEAST_PIECE : piece > MOST_PIECE ? MOST_PIECE : piece;
    if (client->header_bytes < sizeof client->header)
        return sizeof client->header - client->header_bytes;
    return client->left_bytes < piece ? client->left_bytes : piece;
}

static void swallow(void *what, uint32_t tag, int64_t due_ns);

static int64_t bite_ns(const struct client *client)
{
    return (int64_t)((double)bite(client) * 1e9 / (double)plan->receive_bytes_per_s);
}

/* What is read next takes its time from `at_ns` on. */
static void chew(struct client *client, int64_t at_ns)
{
    heap_add(&timers, (struct timer){at_ns + bite_ns(client), swallow, client, client->tag});
}

/* There is something to read again. Within an answer the time since the last bite counts, up to
 * one bite's: it was this client's small buffer that kept the rest away. */
static void take_up(struct client *client, int64_t now)
{
    int64_t at_ns = now;
    if (client->header_bytes) {
        at_ns -= bite_ns(client);
        at_ns = at_ns > client->swallowed_ns ? at_ns : client->swallowed_ns;
    }
    client->hungry = false;
    chew(client, at_ns);
}

static void swallow(void *what, uint32_t tag, int64_t due_ns)
{
    struct client *client = what;
    if (client->tag != tag)
        return;
    client->swallowed_ns = due_ns;
    client->hungry = !receive(client, bite(client));
    if (client->tag == tag && !client->hungry)
        chew(client, due_ns);
}

/* --------------------------------------------------------------------------------- opening */

static void start_connecting(struct client *client);

void want_connection(struct client *client)
{
    client->link = OPENING;
    client->next_wanting = wanting;
    wanting = client;
}

static void want_connection_again(void *what, uint32_t tag, int64_t due_ns)
{
    (void)tag, (void)due_ns;
    want_connection(what);
}

size_t open_connections(void)
{
    size_t done = 0;
    struct client *next;
    for (struct client *client = wanting; client; client = next, done++) {
        next = client->next_wanting;
        wanting = next;
        start_connecting(client);
    }
    return done;
}

static void connect_next(void)
{
    while (n_connecting < plan->connections && n_connecting - n_open < CONNECTING)
        start_connecting(&clients[n_connecting++]);
}

static void connect_failed(struct client *client, int error)
{
    counts.connect_failures++;
    if (start_ns == NEVER)
        give_up("connection %u: %s", client->number, strerror(error));
    if (client->watched.fd >= 0)
        close(client->watched.fd);
    client->watched.fd = -1;
    heap_add(&timers,
             (struct timer){now_ns() + CONNECT_AGAIN_NS, want_connection_again, client, 0});
}

static void on_connected(struct client *client)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(client->watched.fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        connect_failed(client, error);
        return;
    }
    client->link = OPEN;
    client->hungry = true;
    watch_for(&client->watched, wanted_events(client));
    if (start_ns == NEVER) {
        n_open++;
        connect_next();
        if (n_open == plan->connections)
            on_all_open();
        return;
    }
    counts.connections_opened++;
    send_pending(client);
}

static void on_ready(struct watched *watched, uint32_t events)
{
    struct client *client = (struct client *)watched;
    uint32_t tag = client->tag;
    if (client->link == OPENING && watched->fd >= 0) {
        on_connected(client);
        return;
    }
    if (client->link != OPEN)
        return;
    if (events & ~(uint32_t)EPOLLOUT) {
        if (!plan->receive_bytes_per_s) {
            receive(client, sizeof chunk);
        } else if (client->hungry) {
            take_up(client, now_ns());
        }
    }
    if (events & EPOLLOUT && client->tag == tag && client->blocked)
        flush(client, now_ns());
}

static void start_connecting(struct client *client)
{
    int one = 1, mss = SLOW_READER_MSS;
    struct sockaddr_in own = {.sin_family = AF_INET};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + client->number % ADDRESSES);
    client->link = OPENING;
    client->watched.on_ready = on_ready;
    int fd = client->watched.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        connect_failed(client, errno);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* The port is chosen by connect(2), which may share it between destinations. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (plan->receive_bytes_per_s) {
        int64_t wanted = plan->receive_bytes_per_s / 100;
        int buffer = (int)(wanted < LEAST_BUFFER ? LEAST_BUFFER
                           : wanted > INT_MAX    ? INT_MAX
                                                 : wanted);
        setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    }
    if (bind(fd, (struct sockaddr *)&own, sizeof own) < 0
        || (connect(fd, (struct sockaddr *)&server, sizeof server) < 0
            && errno != EINPROGRESS)) {
        connect_failed(client, errno);
        return;
    }
    watch(&client->watched, EPOLLOUT);
}

void connect_clients(int port, void (*on_all)(void))
{
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons((uint16_t)port);
    on_all_open = on_all;
    if (plan->lifetime || !plan->connections)
        on_all();
    else
        connect_next();
}
