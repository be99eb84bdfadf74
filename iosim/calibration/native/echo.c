/* A server that does nothing but answer 64 B by TCP on loopback, asked by one client that spins on
 * another core and so is never woken. Requests come at random gaps after the answer to the one
 * before, of about `argument[0]`, `argument[1]`, ... us.
 *
 * What a request costs the server, sleep and all, and how long it takes: against the same calls
 * made in one thread, this shows what going to sleep, and running on a core that has gone cold,
 * add. Leaves out what a handler would do, and more than one connection. */

#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probe.h"

#define REQUEST_BYTES 64

static struct {
    int socket;
    int epoll; /* 0: it blocks in recv */
    int64_t cpu_ns;
    atomic_int answered;
} server;

static void *answer(void *nothing)
{
    char bytes[REQUEST_BYTES];
    struct epoll_event event;
    int64_t before_ns = cpu_ns();
    for (;;) {
        if (server.epoll)
            MUST(epoll_wait(server.epoll, &event, 1, -1));
        if (recv(server.socket, bytes, sizeof bytes, 0) <= 0)
            return nothing;
        MUST(send(server.socket, bytes, sizeof bytes, 0));
        int64_t after_ns = cpu_ns();
        server.cpu_ns = after_ns - before_ns;
        before_ns = after_ns;
        atomic_fetch_add(&server.answered, 1);
    }
}

/* Ask, wait for the answer without sleeping, and until the server has said what it cost. */
static double ask(int socket)
{
    char bytes[REQUEST_BYTES] = {0};
    int answered = atomic_load(&server.answered);
    int64_t begun_ns = now_ns();
    MUST(send(socket, bytes, sizeof bytes, 0));
    while (recv(socket, bytes, sizeof bytes, MSG_DONTWAIT) < 0)
        ;
    double took_ns = (double)(now_ns() - begun_ns);
    while (atomic_load(&server.answered) == answered)
        ;
    return took_ns;
}

static void ask_at_random(const char *way, const long *gaps_us)
{
    int n = 0, ends[2];
    struct figure *responding[MOST_GAPS], *serving[MOST_GAPS];
    for (; n < MOST_GAPS && gaps_us[n]; n++) {
        responding[n] = figure("echo_zero_demand_response", "%s;gap=%ldus", way, gaps_us[n]);
        serving[n] = figure("echo_zero_demand_server_cpu", "%s;gap=%ldus", way, gaps_us[n]);
    }
    connect_on_loopback(ends);
    server.socket = ends[0];
    if (server.epoll) {
        struct epoll_event event = {.events = EPOLLIN};
        MUST(epoll_ctl(server.epoll, EPOLL_CTL_ADD, server.socket, &event));
    }
    pin(place.other_cpu);
    start_thread(place.server_cpu, answer, NULL);
    ask(ends[1]);
    while (!all_full()) {
        int i = (int)(random_fraction() * n);
        wait_until_ns(now_ns() + random_gap_ns(gaps_us[i]));
        add(responding[i], ask(ends[1]));
        add(serving[i], (double)server.cpu_ns - cpu_cost_ns());
    }
}

/* The server is a loop: epoll_wait, recv, send. */
PROBE(echo_by_epoll)
{
    server.epoll = MUST(epoll_create1(0));
    ask_at_random("epoll", argument);
}

/* The server blocks in recv. */
PROBE(echo_by_blocking)
{
    ask_at_random("blocking", argument);
}
