/* The clients: the fate of every request.
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

#include "clients.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client *clients;
struct counts counts;

static bool by_users;
static uint32_t next_row;     /* of `requests`, to be offered next */
static struct heap deadlines; /* of requests, answered ones included until they come up */
static int64_t n_waiting;

static void offer(struct client *client, uint32_t row, int64_t intended_ns, uint32_t attempt);

/* --------------------------------------------------------------------- requests, and lists */

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

void append(struct queue *queue, struct request *request)
{
    request->next = NULL;
    if (queue->first)
        queue->last->next = request;
    else
        queue->first = request;
    queue->last = request;
}

struct request *take_first(struct queue *queue)
{
    struct request *request = queue->first;
    queue->first = request->next;
    return request;
}

void take_out(struct queue *queue, struct request *request)
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

/* ------------------------------------------------------------------------ ends of requests */

static void ask(void *what, uint32_t tag, int64_t due_ns)
{
    (void)tag;
    offer(what, next_row, due_ns, 0);
    next_row = next_row + 1 < plan->rows ? next_row + 1 : 0;
}

/* A user thinks, and asks again. */
static void think(struct client *client, int64_t at_ns)
{
    const int64_t *times = plan->think + client->number * THINK_TIMES;
    int64_t due_ns = at_ns + times[client->thoughts++ % THINK_TIMES];
    if (due_ns < end_ns)
        heap_add(&timers, (struct timer){due_ns, ask, client, 0});
}

static void ended(struct request *request, int64_t at_ns)
{
    if (by_users)
        think(request->client, at_ns);
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
            counts.retries++;
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

void answered(struct request *request, bool failed, int64_t now)
{
    struct client *client = request->client;
    uint32_t tag = client->tag;
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
        request->state = failed ? ANSWERED_WITH_ERROR : ANSWERED;
        request->answered_ns = now;
        ended(request, now);
    }
    send_next(client, now);
    if (client->tag == tag && plan->lifetime && client->sent == plan->lifetime
        && !client->under_way.first)
        hang_up(client);
}

/* -------------------------------------------------------------------------------- offering */

/* `request` has its place, and could be sent from `could_ns` on: send it when there is a
 * connection. */
static void take(struct client *client, struct request *request, int64_t could_ns)
{
    if (may_send(client)) {
        send_on(client, request, could_ns);
        return;
    }
    append(&client->pending, request);
    if (client->link == CLOSED)
        want_connection(client);
}

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

void send_next(struct client *client, int64_t now)
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

void send_pending(struct client *client)
{
    int64_t now = now_ns();
    while (client->pending.first && may_send(client)) {
        struct request *request = take_first(&client->pending);
        if (request->state == IN_FLIGHT) {
            send_on(client, request, now);
        } else {
            client->places++;
            send_next(client, now);
        }
    }
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
    if (!by_users && (row[CLIENT] < 0 || row[CLIENT] >= plan->connections))
        give_up("client %lld of %lld", (long long)row[CLIENT], (long long)plan->connections);
    if (!by_users && row[INTENDED_NS] < *last_ns)
        give_up("a request at %lld ns after one at %lld ns", (long long)row[INTENDED_NS],
                (long long)*last_ns);
    *last_ns = row[INTENDED_NS];
    if (request_bytes > *longest)
        *longest = request_bytes;
}

void prepare_clients(void)
{
    by_users = strcmp(plan->arrivals, "users") == 0;
    if (!by_users && strcmp(plan->arrivals, "times") != 0)
        give_up("arrivals of %s?", plan->arrivals);
    if (plan->users > plan->connections || (by_users && !plan->rows))
        give_up("%lld users, %lld connections, %lld rows", (long long)plan->users,
                (long long)plan->connections, (long long)plan->rows);
    if (plan->slow && (plan->piece_bytes <= 0 || plan->gap_ns <= 0))
        give_up("slow clients send %lld bytes every %lld ns", (long long)plan->piece_bytes,
                (long long)plan->gap_ns);
    int64_t longest = sizeof(struct header), last_ns = 0;
    for (uint32_t row = 0; row < plan->rows; row++)
        check_row(plan_row(plan, row), &longest, &last_ns);
    prepare_connections((size_t)longest);
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

void start_clients(void)
{
    for (int64_t user = 0; by_users && user < plan->users; user++)
        think(&clients[user], start_ns);
}

static int64_t next_offer_ns(void)
{
    if (by_users || start_ns == NEVER || next_row >= plan->rows)
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
        PART(0.5), PART(0.99), PART(1.0), (long long)counts.wrong, (long long)counts.retries,
        (long long)counts.connections_opened, (long long)counts.connect_failures,
        (long long)counts.connections_lost, busy_fraction);
    free(late);
}
