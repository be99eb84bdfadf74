/* Synchronous non-blocking I/O: ask every connection, again and again. The twin of
 * iosim/io_models/nonblocking.py. */

#include "jobs.h"

MODEL("nonblocking")

/* The sockets that are asked one after the other. */
struct ring {
    struct jobs jobs; /* first, so that a callback finds its ring */
    struct socket **sockets;
    size_t count, room, position;
};

static void add(struct jobs *jobs, struct socket *socket)
{
    struct ring *ring = (struct ring *)jobs;
    if (ring->count == ring->room) {
        ring->room = 2 * ring->room + 64;
        ring->sockets = realloc(ring->sockets, ring->room * sizeof *ring->sockets);
        if (!ring->sockets)
            give_up("no memory");
    }
    ring->sockets[ring->count++] = socket;
}

/* Ask it no longer; its place is the last one's from now on. */
static void forget(struct jobs *jobs, struct socket *socket)
{
    struct ring *ring = (struct ring *)jobs;
    size_t place = 0;
    while (ring->sockets[place] != socket)
        place++;
    ring->sockets[place] = ring->sockets[--ring->count];
}

/* Nothing to be told to anybody: it is asked, whether to read or to write. */
static void wait_for(struct jobs *jobs, struct socket *socket, enum events events)
{
    (void)jobs, (void)socket, (void)events;
}

/* Ask `socket`; whether that was not in vain. */
static bool ask_it(struct jobs *jobs, struct socket *socket)
{
    if (socket != jobs->server->listener)
        return on_readable(jobs, socket);
    struct socket *connection = accept_connection(socket, true);
    if (connection)
        add(jobs, connection);
    else
        COUNT(jobs->server, wasted_polls, 1);
    return connection;
}

/* Go round all sockets; turn to other things after a round in vain. */
static void run(struct server *server)
{
    int64_t pause_ns = option_number(server->plan, "pause", 0);
    struct ring ring = {
        .jobs = {.server = server, .watch = add, .wait_for = wait_for, .forget = forget}};
    struct jobs *jobs = &ring.jobs;
    size_t in_vain = 0;
    set_nonblocking(server->listener);
    add(jobs, server->listener);
    for (;;) {
        if (ring.position >= ring.count)
            ring.position = 0;
        in_vain = ask_it(jobs, ring.sockets[ring.position++]) ? 0 : in_vain + 1;
        if (jobs->sleepers.count)
            run_due(jobs);
        if (in_vain < ring.count)
            continue;
        in_vain = 0;
        if (server->own_work)
            do_chunk(server);
        if (pause_ns)
            sleep_for(pause_ns);
    }
}
