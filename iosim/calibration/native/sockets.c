/* Sockets, on loopback and of one machine, in one thread: nobody sleeps, so that no wake-up is in
 * any figure. What the receiver's kernel does for a segment (the receive softirq) runs within
 * send. */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probe.h"

static char buffer[1 << 20];

static void send_all(int socket, size_t bytes)
{
    if (send(socket, buffer, bytes, 0) != (ssize_t)bytes)
        give_up("send: %m");
}

static void recv_all(int socket, size_t bytes)
{
    if (recv(socket, buffer, bytes, MSG_WAITALL) != (ssize_t)bytes)
        give_up("recv: %m");
}

/* Sending `argument[0]` bytes by TCP and taking them at the other end, each by itself. Leaves out
 * networks, and messages so large that they fill a buffer. */
PROBE(tcp_loopback)
{
    size_t bytes = (size_t)argument[0];
    int ends[2];
    struct figure *sending = figure("tcp_lo_send", "%zuB", bytes);
    struct figure *receiving = figure("tcp_lo_recv", "%zuB", bytes);
    connect_on_loopback(ends);
    for (int i = -10; i < place.samples; i++) {
        int64_t begun_ns = now_ns();
        send_all(ends[0], bytes);
        int64_t sent_ns = now_ns();
        recv_all(ends[1], bytes);
        int64_t received_ns = now_ns();
        if (i < 0)
            continue;
        add(sending, (double)(sent_ns - begun_ns) - now_cost_ns());
        add(receiving, (double)(received_ns - sent_ns) - now_cost_ns());
    }
}

/* The same, both together and in batches. */
PROBE(tcp_loopback_batch)
{
    size_t bytes = (size_t)argument[0];
    int ends[2];
    connect_on_loopback(ends);
    MEASURE(figure("tcp_lo_send+recv", "%zuB", bytes), 50, send_all(ends[0], bytes);
            recv_all(ends[1], bytes));
}

/* `argument[0]` bytes from one end of a pair of local sockets to the other. */
PROBE(socketpair_batch)
{
    size_t bytes = (size_t)argument[0];
    int ends[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    MEASURE(figure("socketpair_write+read", "%zuB", bytes), 100, send_all(ends[0], bytes);
            recv_all(ends[1], bytes));
}

/* Receiving where nothing has arrived. */
PROBE(recv_eagain)
{
    int ends[2];
    connect_on_loopback(ends);
    MEASURE(figure("recv_EAGAIN", "tcp"), 300,
            if (recv(ends[0], buffer, 64, MSG_DONTWAIT) >= 0 || errno != EAGAIN)
                give_up("recv: %m"));
}

/* Connecting (which carries the listener's side of the handshake), accepting a connection that is
 * queued, and closing a socket whose peer is still open. Leaves out refusals and full queues. */
PROBE(connections)
{
    struct sockaddr_in where;
    int listener = listen_on_loopback(&where);
    struct figure *connecting = figure("connect", "tcp_lo");
    struct figure *accepting = figure("accept4", "queued");
    struct figure *closing = figure("close", "tcp_lo");
    for (int i = -5; i < place.samples; i++) {
        int client = MUST(socket(AF_INET, SOCK_STREAM, 0));
        int64_t begun_ns = now_ns();
        MUST(connect(client, (struct sockaddr *)&where, sizeof where));
        int64_t connected_ns = now_ns();
        int server = MUST(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
        int64_t accepted_ns = now_ns();
        close(server);
        int64_t closed_ns = now_ns();
        close(client);
        if (i < 0)
            continue;
        add(connecting, (double)(connected_ns - begun_ns) - now_cost_ns());
        add(accepting, (double)(accepted_ns - connected_ns) - now_cost_ns());
        add(closing, (double)(closed_ns - accepted_ns) - now_cost_ns());
    }
}
