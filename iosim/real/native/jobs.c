/* See jobs.h. */

#include "jobs.h"

/* --------------------------------------------------------------------------- replies */

void reply(struct jobs *jobs, struct request *request)
{
    struct socket *connection = request->connection;
    lock(&connection->sending);
    if (is_gone(request)) {
        free(request);
    } else if (connection->unsent.first) {
        put(&connection->unsent, request);
    } else if (send_reply(jobs->server, request) == PART) {
        put(&connection->unsent, request);
        jobs->wait_for(jobs, connection, WRITABLE);
    } else {
        free(request);
    }
    unlock(&connection->sending);
}

bool go_on(struct jobs *jobs, struct socket *connection)
{
    bool all = false;
    lock(&connection->sending);
    while (connection->unsent.first) {
        if (send_reply(jobs->server, connection->unsent.first) == PART)
            break;
        free(take(&connection->unsent));
        all = !connection->unsent.first;
    }
    if (all)
        jobs->wait_for(jobs, connection, READABLE);
    unlock(&connection->sending);
    return all;
}

bool may_read(struct socket *socket)
{
    lock(&socket->sending);
    bool may = !socket->unsent.first;
    unlock(&socket->sending);
    return may;
}

/* ------------------------------------------------------------------------------ jobs */

static void start_call(struct jobs *jobs, struct request *request, int device)
{
    bool is_new;
    struct socket *socket = connection_to(jobs->server, device, true, &is_new);
    if (is_new && jobs->watch)
        jobs->watch(jobs, socket);
    ask(socket, jobs->server, request);
}

/* Do the request's steps, up to one that would block, or answer it. */
static void advance(struct jobs *jobs, struct request *request)
{
    struct server *server = jobs->server;
    const struct step *step;
    while ((step = next_step(server, request))) {
        if (gave_up(server, request)) {
            free(request);
            return;
        }
        if (step->kind == STEP_CPU) {
            burn(amount_of(server, request));
        } else if (step->kind == STEP_SLEEP) {
            request->due_ns = now_ns() + amount_of(server, request);
            add_sleeper(&jobs->sleepers, request);
            return;
        } else if (blocks(server, step)) {
            call(server, request, step);
        } else {
            start_call(jobs, request, step->device);
            return;
        }
    }
    reply(jobs, request);
}

bool on_readable(struct jobs *jobs, struct socket *socket)
{
    struct server *server = jobs->server;
    struct request *request;
    if (!may_read(socket))
        return go_on(jobs, socket);
    switch (receive(server, socket, &request)) {
    case AGAIN:
        return false;
    case PARTIAL:
        return true;
    case CLOSED:
        if (socket->kind == DEVICE)
            give_up("a device has hung up");
        if (jobs->forget)
            jobs->forget(jobs, socket);
        close_socket(socket);
        return false;
    case MESSAGE:
        break;
    }
    if (socket->kind == DEVICE) {
        if (try_again(server, request)) {
            ask(socket, server, request);
            return true;
        }
        release(server, socket);
    }
    advance(jobs, request);
    return true;
}

int64_t timeout_of(struct jobs *jobs)
{
    return jobs->server->own_work ? 0 : next_due(&jobs->sleepers);
}

void run_due(struct jobs *jobs)
{
    struct request *request;
    while ((request = take_due(&jobs->sleepers)))
        advance(jobs, request);
}

/* -------------------------------------------------------------------------- sleepers */

/* A heap: each is due no later than the two below it. */
void add_sleeper(struct sleepers *sleepers, struct request *request)
{
    if (sleepers->count == sleepers->room) {
        sleepers->room = 2 * sleepers->room + 64;
        sleepers->heap = realloc(sleepers->heap, sleepers->room * sizeof *sleepers->heap);
        if (!sleepers->heap)
            give_up("no memory");
    }
    size_t place = sleepers->count++;
    while (place && sleepers->heap[(place - 1) / 2]->due_ns > request->due_ns) {
        sleepers->heap[place] = sleepers->heap[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    sleepers->heap[place] = request;
}

int64_t next_due(const struct sleepers *sleepers)
{
    if (!sleepers->count)
        return -1;
    int64_t left_ns = sleepers->heap[0]->due_ns - now_ns();
    return left_ns > 0 ? left_ns : 0;
}

struct request *take_due(struct sleepers *sleepers)
{
    if (next_due(sleepers) != 0)
        return NULL;
    struct request *due = sleepers->heap[0], *last = sleepers->heap[--sleepers->count];
    size_t place = 0, below;
    while ((below = 2 * place + 1) < sleepers->count) {
        if (below + 1 < sleepers->count
            && sleepers->heap[below + 1]->due_ns < sleepers->heap[below]->due_ns)
            below++;
        if (sleepers->heap[below]->due_ns >= last->due_ns)
            break;
        sleepers->heap[place] = sleepers->heap[below];
        place = below;
    }
    sleepers->heap[place] = last;
    return due;
}
