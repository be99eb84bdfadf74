/* See handler.h. */

#define _GNU_SOURCE
#include "handler.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

const struct step *next_step(const struct server *server, struct request *request)
{
    if (request->failed || request->next_step == server->plan->n_steps)
        return NULL;
    request->attempt = 0;
    return &server->plan->steps[request->next_step++];
}

int64_t amount_of(const struct server *server, const struct request *request)
{
    int column = server->plan->steps[request->next_step - 1].column;
    return request->columns[column + request->attempt];
}

bool try_again(const struct server *server, struct request *request)
{
    if (!attempt_fails(amount_of(server, request)))
        return false;
    int attempts = server->plan->steps[request->next_step - 1].attempts;
    request->failed = ++request->attempt == attempts;
    return !request->failed;
}

bool gave_up(const struct server *server, const struct request *request)
{
    char byte;
    if (!server->plan->cancel)
        return false;
    if (is_gone(request))
        return true;
    long count = recv(request->connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return count == 0 || (count < 0 && errno != EAGAIN);
}

bool blocks(const struct server *server, const struct step *step)
{
    return server->plan->devices[step->device].blocking;
}

void serve(struct server *server, struct request *request)
{
    const struct step *step;
    while ((step = next_step(server, request)) && !gave_up(server, request)) {
        if (step->kind == STEP_CPU)
            burn(amount_of(server, request));
        else if (step->kind == STEP_SLEEP)
            sleep_for(amount_of(server, request));
        else
            call(server, request, step);
    }
}

/* Send the query over a connection and sleep until its answer has been received. */
static void exchange(struct server *server, struct request *request, int device)
{
    bool is_new;
    struct socket *socket = connection_to(server, device, false, &is_new);
    enum received what;
    do {
        ask(socket, server, request);
        while ((what = receive(server, socket, &request)) == PARTIAL)
            ;
        if (what == CLOSED)
            give_up("a device has hung up");
    } while (try_again(server, request));
    release(server, socket);
}

/* Sleep for as long as each attempt takes, at one of the device's places. */
static void occupy(struct server *server, struct request *request, int device)
{
    do {
        int64_t ns = attempt_ns(amount_of(server, request));
        if (!ns) /* there is nothing to wait for: it is in a cache */
            continue;
        if (server->plan->devices[device].concurrency)
            while (sem_wait(&server->places[device]))
                ;
        sleep_for(ns);
        if (server->plan->devices[device].concurrency)
            sem_post(&server->places[device]);
    } while (try_again(server, request));
}

void call(struct server *server, struct request *request, const struct step *step)
{
    if (blocks(server, step))
        occupy(server, request, step->device);
    else
        exchange(server, request, step->device);
}

void sleep_for(int64_t ns)
{
    struct timespec left = {ns / 1000000000, ns % 1000000000};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

struct socket *connection_to(struct server *server, int device, bool nonblocking, bool *is_new)
{
    struct idle *idle = &server->idle[device];
    lock(&idle->lock);
    struct socket *socket = idle->first;
    if (socket)
        idle->first = socket->next;
    unlock(&idle->lock);
    *is_new = !socket;
    return socket ? socket : connect_device(device, nonblocking);
}

void release(struct server *server, struct socket *socket)
{
    struct idle *idle = &server->idle[socket->device];
    lock(&idle->lock);
    socket->next = idle->first;
    idle->first = socket;
    unlock(&idle->lock);
}

struct idle *no_idle(const struct plan *plan)
{
    struct idle *idle = allocate((size_t)plan->n_devices, sizeof *idle);
    for (int i = 0; i < plan->n_devices; i++)
        pthread_mutex_init(&idle[i].lock, NULL);
    return idle;
}
