/* The clients: connections, and the fate of every request.
 *
 *     offer -> wait for a place -> wait for a connection -> send -> receive -> ended
 *              `waiting`           `pending`                `under_way`
 *
 * A client has `pipeline` places, one for each request that may be under way at once. A request
 * ends answered (with an error maybe), refused (too many were waiting), or timed out; its place
 * is free again when its answer has been read, however late, or its connection is closed.
 *
 * Mirrors iosim/clients.py and iosim/visitors.py, whose terms it uses.
 */

#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Segments of a slow reader: the loopback's own, of 64 KiB, do not fit into its small buffer. */
#define SLOW_READER_MSS 1448

enum state { IN_FLIGHT, ANSWERED, REFUSED, TIMED_OUT, ANSWERED_WITH_ERROR };

struct request {
    int64_t intended_ns;
    int64_t sent_ns, answered_ns; /* NEVER */
    int64_t late_ns;              /* from when it could be sent */
    struct request *next;
    struct client *client;
    uint32_t row, sent_bytes;
    uint32_t attempt;
    uint8_t state;
    bool under_way; /* sent or being sent, on a connection that is open */
};

struct queue {
    struct request *first, *last;
};

enum link { CLOSED, OPENING, OPEN };

struct client {
    struct watched watched; /* the first: on_ready gets it */
    enum link link;
    uint32_t number;
    uint32_t tag;  /* how often its connection has been closed */
    int64_t places; /* further requests that may be under way */
    int64_t sent;   /* requests, on this connection */
    struct queue waiting, pending, under_way;
    struct request *unsent; /* of those under way the first that is not sent as a whole */
    bool blocked;           /* there was no room to send it */
    bool dripping;          /* a slow sender: its next piece has its time */
    bool hungry;            /* a slow reader: there was nothing to read */
    struct client *next_wanting;
    uint64_t thoughts;      /* of a closed workload's user: times it has asked */
    /* The answer that is coming. */
    struct header header;
    uint32_t header_bytes, left_bytes;
    struct request *answered; /* NULL: nobody asked for it */
    bool bad;
};

static struct client *clients;
static struct sockaddr_in server = {.sin_family = AF_INET};
static void (*on_all_open)(void);
static int64_t n_open, n_connecting;
static struct client *wanting; /* a connection, as soon as this batch of events is done */
static bool closed_workload;

static int64_t start_ns = NEVER, end_ns = NEVER;
static uint32_t next_row;       /* of `requests`, to be offered next */
static struct heap deadlines;   /* of requests, answered ones included until they come up */
static int64_t n_waiting;
static int64_t wrong, retries, connections_opened, connect_failures, connections_lost;

static char *message;           /* as long as the longest request */
static char chunk[READ_BYTES], reply_fill[READ_BYTES];

/* ------------------------------------------------------------------- requests, and lists */

/* All requests offered, in blocks that stay where they are. */
#define BLOCK 65536
static struct request **blocks;
static size_t n_requests, n_blocks;

static void add_block(void)
{
    blocks = realloc(blocks, (n_blocks + 1) * sizeof *blocks);
    if (!blocks)
        give_up("no memory");
    blocks[n_blocks++] = allocate(BLOCK, sizeof **blocks);
}

static struct request *request_at(size_t number)
{
    return &blocks[number / BLOCK][number % BLOCK];
}

static struct request *new_request(struct client *client, uint32_t row, int64_t intended_ns)
{
    if (n_requests == n_blocks * BLOCK)
        add_block();
    struct request *request = request_at(n_requests++);
    *request = (struct request){.intended_ns = intended_ns,
                                .sent_ns = NEVER,
                                .answered_ns = NEVER,
                                .client = client,
                                .row = row};
    return request;
}

static void append(struct queue *queue, struct request *request)
{
    request->next = NULL;
    if (queue->first)
        queue->last->next = request;
    else
        queue->first = request;
    queue->last = request;
}

static struct request *take_first(struct queue *queue)
{
    struct request *request = queue->first;
    queue->first = request->next;
    return request;
}

static void take_out(struct queue *queue, struct request *request)
{
    struct request *before = NULL;
    for (struct request *each = queue->first; each != request; each = each->next)
        before = each;
    if (before)
        before->next = request->next;
    else
        queue->first = request->next;
    if (queue->last == request)
        queue->last = before;
}

/* --------------------------------------------------------------- what calls what in turn */

static void want_connection(struct client *client);
static void take(struct client *client, struct request *request, int64_t could_ns);
static void send_next(struct client *client, int64_t now);
static void flush(struct client *client, int64_t could_ns);
static void offer(struct client *client, uint32_t row, int64_t intended_ns, uint32_t attempt);

/* ------------------------------------------------------------------------ ends of requests */

static void ask(void *what, uint32_t tag, int64_t due_ns)
{
    (void)tag;
    offer(what, next_row, due_ns, 0);
    next_row = next_row + 1 < plan->rows ? next_row + 1 : 0;
}

/* A closed workload's user thinks, and asks again. */
static void think(struct client *client, int64_t at_ns)
{
    const int64_t *times = plan->think + client->number * THINK_TIMES;
    int64_t due_ns = at_ns + times[client->thoughts++ % THINK_TIMES];
    if (due_ns < end_ns)
        heap_add(&timers, (struct timer){due_ns, ask, client, 0});
}

static void ended(struct request *request, int64_t at_ns)
{
    if (closed_workload)
        think(request->client, at_ns);
}

/* Close the connection; another is opened if one is wanted. */
static void hang_up(struct client *client)
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
    connections_lost++;
    hang_up(client);
    send_next(client, now);
}

static void try_again(void *what, uint32_t tag, int64_t due_ns)
{
    (void)tag;
    struct request *request = what;
    offer(request->client, request->row, due_ns, request->attempt + 1);
}

static void time_out(struct request *request, int64_t now)
{
    struct client *client = request->client;
    int64_t at_ns = request->intended_ns + plan->timeout_ns;
    request->state = TIMED_OUT;
    if (plan->close_on_timeout && request->under_way) {
        hang_up(client);
        send_next(client, now);
    }
    if (request->attempt < plan->retries) {
        int64_t again_ns = at_ns + plan->backoff_ns;
        if (again_ns < end_ns) {
            retries++;
            heap_add(&timers, (struct timer){again_ns, try_again, request, 0});
        }
    } else {
        ended(request, at_ns);
    }
}

static void on_deadline(void *what, uint32_t tag, int64_t due_ns)
{
    (void)tag, (void)due_ns;
    struct request *request = what;
    if (request->state == IN_FLIGHT)
        time_out(request, now_ns());
}

/* ------------------------------------------------------------------------------- offering */

static void offer(struct client *client, uint32_t row, int64_t intended_ns, uint32_t attempt)
{
    struct request *request = new_request(client, row, intended_ns);
    request->attempt = attempt;
    if (plan->timeout_ns)
        heap_add(&deadlines,
                 (struct timer){intended_ns + plan->timeout_ns, on_deadline, request, 0});
    if (client->places) {
        client->places--;
        take(client, request, intended_ns);
    } else if (plan->waiting && n_waiting >= plan->waiting) {
        request->state = REFUSED;
        ended(request, now_ns());
    } else {
        n_waiting++;
        append(&client->waiting, request);
    }
}

/* Send what waits, as far as there are places for it. */
static void send_next(struct client *client, int64_t now)
{
    while (client->waiting.first && client->places) {
        struct request *request = take_first(&client->waiting);
        n_waiting--;
        if (request->state == IN_FLIGHT) {
            client->places--;
            take(client, request, now);
        }
    }
}

static void drip(void *what, uint32_t tag, int64_t due_ns);

static void send_on(struct client *client, struct request *request, int64_t could_ns)
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

/* `request` has its place, and could be sent from `could_ns` on: send it when there is a
 * connection. */
static void take(struct client *client, struct request *request, int64_t could_ns)
{
    if (client->link == OPEN && (!plan->lifetime || client->sent < plan->lifetime)) {
        send_on(client, request, could_ns);
        return;
    }
    append(&client->pending, request);
    if (client->link == CLOSED)
        want_connection(client);
}

/* -------------------------------------------------------------------------------- sending */

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

/* ------------------------------------------------------------------------------ receiving */

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
    struct request *request = client->answered;
    uint32_t tag = client->tag;
    client->header_bytes = 0;
    wrong += client->bad;
    if (!request)
        return;
    if (request->state == IN_FLIGHT && plan->timeout_ns
        && now > request->intended_ns + plan->timeout_ns) {
        time_out(request, now); /* its deadline is due and has not come up yet */
        if (client->tag != tag)
            return;
    }
    take_out(&client->under_way, request);
    request->under_way = false;
    client->places++;
    if (request->state == IN_FLIGHT) {
        request->state = client->header.size & FAILED ? ANSWERED_WITH_ERROR : ANSWERED;
        request->answered_ns = now;
        ended(request, now);
    }
    send_next(client, now);
    if (client->tag == tag && plan->lifetime && client->sent == plan->lifetime
        && !client->under_way.first)
        hang_up(client);
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
                wrong++;
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

/* What is read next takes its time from `at_ns` on. */
static void chew(struct client *client, int64_t at_ns)
{
    int64_t ns = (int64_t)((double)bite(client) * 1e9 / (double)plan->receive_bytes_per_s);
    heap_add(&timers, (struct timer){at_ns + ns, swallow, client, client->tag});
}

static void swallow(void *what, uint32_t tag, int64_t due_ns)
{
    struct client *client = what;
    if (client->tag != tag)
        return;
    client->hungry = !receive(client, bite(client));
    if (client->tag == tag && !client->hungry)
        chew(client, due_ns);
}

/* ---------------------------------------------------------------------------- connections */

static void start_connecting(struct client *client);

/* Not at once: what is left of a batch of events may be the closed connection's. */
static void want_connection(struct client *client)
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
    connect_failures++;
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
    connections_opened++;
    int64_t now = now_ns();
    uint32_t tag = client->tag;
    while (client->tag == tag && client->pending.first
           && (!plan->lifetime || client->sent < plan->lifetime)) {
        struct request *request = take_first(&client->pending);
        if (request->state == IN_FLIGHT) {
            send_on(client, request, now);
        } else {
            client->places++;
            send_next(client, now);
        }
    }
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
            client->hungry = false;
            chew(client, now_ns());
        }
    }
    if (events & EPOLLOUT && client->tag == tag && client->blocked)
        flush(client, now_ns());
}

static void start_connecting(struct client *client)
{
    int one = 1, mss = SLOW_READER_MSS, buffer = MOST_PIECE;
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

/* ------------------------------------------------------------------------- the whole load */

static void check_row(const int64_t *row, int64_t *longest, int64_t *last_ns)
{
    int64_t request_bytes = row[REQUEST_BYTES], reply_bytes = row[REPLY_BYTES];
    int64_t least = sizeof(struct header);
    if (request_bytes < least || reply_bytes < least || request_bytes > MOST_BYTES
        || reply_bytes > MOST_BYTES)
        give_up("a request of %lld bytes, an answer of %lld", (long long)request_bytes,
                (long long)reply_bytes);
    if (!closed_workload && (row[CLIENT] < 0 || row[CLIENT] >= plan->connections))
        give_up("client %lld of %lld", (long long)row[CLIENT], (long long)plan->connections);
    if (!closed_workload && row[INTENDED_NS] < *last_ns)
        give_up("a request at %lld ns after one at %lld ns", (long long)row[INTENDED_NS],
                (long long)*last_ns);
    *last_ns = row[INTENDED_NS];
    if (request_bytes > *longest)
        *longest = request_bytes;
}

void prepare_clients(void)
{
    closed_workload = strcmp(plan->workload, "closed") == 0;
    if (!closed_workload && strcmp(plan->workload, "open") != 0)
        give_up("a load of %s?", plan->workload);
    if (plan->users > plan->connections || (closed_workload && !plan->rows))
        give_up("%lld users, %lld connections, %lld rows", (long long)plan->users,
                (long long)plan->connections, (long long)plan->rows);
    if (plan->slow && (plan->piece_bytes <= 0 || plan->gap_ns <= 0))
        give_up("slow clients send %lld bytes every %lld ns", (long long)plan->piece_bytes,
                (long long)plan->gap_ns);
    int64_t longest = sizeof(struct header), last_ns = 0;
    for (uint32_t row = 0; row < plan->rows; row++)
        check_row(plan_row(plan, row), &longest, &last_ns);
    message = allocate(1, (size_t)longest);
    memset(message, REQUEST_FILL, (size_t)longest);
    memset(reply_fill, REPLY_FILL, sizeof reply_fill);
    /* Touched now: no page fault is to come while the load runs. */
    for (int64_t rows = 0; rows <= plan->rows; rows += BLOCK) {
        add_block();
        memset(blocks[n_blocks - 1], 1, BLOCK * sizeof **blocks);
    }
    clients = allocate((size_t)plan->connections, sizeof *clients);
    for (int64_t i = 0; i < plan->connections; i++) {
        clients[i].watched.fd = -1;
        clients[i].number = (uint32_t)i;
        clients[i].places = plan->pipeline > 0 ? plan->pipeline : 1;
    }
}

void start_clients(int64_t start, int64_t end)
{
    start_ns = start;
    end_ns = end;
    for (int64_t user = 0; closed_workload && user < plan->users; user++)
        think(&clients[user], start);
}

static int64_t next_offer_ns(void)
{
    if (closed_workload || start_ns == NEVER || next_row >= plan->rows)
        return NEVER;
    return start_ns + plan_row(plan, next_row)[INTENDED_NS];
}

size_t run_clients(int64_t now)
{
    size_t done = 0;
    int64_t due_ns;
    while ((due_ns = next_offer_ns()) <= now && due_ns < end_ns) {
        uint32_t row = next_row++;
        offer(&clients[plan_row(plan, row)[CLIENT]], row, due_ns, 0);
        done++;
    }
    return done + heap_run(&deadlines, now);
}

int64_t clients_due(void)
{
    /* Those that have ended are not worth waking up for. */
    while (deadlines.count && ((struct request *)deadlines.timers[0].what)->state != IN_FLIGHT)
        heap_drop_first(&deadlines);
    int64_t offer_ns = next_offer_ns(), deadline_ns = heap_due(&deadlines);
    return offer_ns < deadline_ns ? offer_ns : deadline_ns;
}

/* ------------------------------------------------------------------------------ the result */

static int64_t since_start(int64_t at_ns)
{
    return at_ns == NEVER ? -1 : at_ns - start_ns;
}

void write_responses(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/responses", folder);
    FILE *file = fopen(path, "we");
    if (!file)
        give_up("%s: %s", path, strerror(errno));
    for (size_t i = 0; i < n_requests; i++) {
        const struct request *request = request_at(i);
        int64_t row[] = {request->row, since_start(request->intended_ns),
                         since_start(request->sent_ns), since_start(request->answered_ns),
                         request->state};
        fwrite(row, sizeof row, 1, file);
    }
    if (fclose(file) != 0)
        give_up("%s: %s", path, strerror(errno));
}

static int compare(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

void say_done(double busy_fraction)
{
    int64_t *late = allocate(n_requests, sizeof *late);
    size_t sent = 0;
    for (size_t i = 0; i < n_requests; i++)
        if (request_at(i)->sent_ns != NEVER)
            late[sent++] = request_at(i)->late_ns;
    qsort(late, sent, sizeof *late, compare);
#define PART(part) (long long)(sent ? late[(size_t)((double)(sent - 1) * (part))] : 0)
    say("done late_p50_ns=%lld late_p99_ns=%lld late_max_ns=%lld wrong=%lld retries=%lld "
        "connections_opened=%lld connect_failures=%lld connections_lost=%lld "
        "busy_fraction=%.6f",
        PART(0.5), PART(0.99), PART(1.0), (long long)wrong, (long long)retries,
        (long long)connections_opened, (long long)connect_failures,
        (long long)connections_lost, busy_fraction);
    free(late);
}
