/* Asynchronous I/O: submit a read, go on; a signal or a fresh thread brings the result. The twin
 * of iosim/io_models/aio.py, with the helper threads of glibc's aio_read(3). */

#define _GNU_SOURCE
#include <aio.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "helpers.h"

MODEL("aio")

/* An aio control block: the read under way on a socket, whose `waiter` it is. */
struct read {
    struct aiocb block;
    struct socket *socket;
    char buffer[READ_BYTES];
};

/* A timer of one request's sleep, and those that are free. */
struct timer {
    timer_t id;
    struct request *request;
    struct timer *next;
};

static struct server *server;
static bool by_thread; /* SIGEV_THREAD, else SIGEV_SIGNAL */
static struct timer *free_timers;

static void on_complete(union sigval what);

/* aio_read(3): have a helper receive from `socket`, and return at once. */
static void submit(struct socket *socket)
{
    struct read *read = socket->waiter;
    if (!read) {
        read = socket->waiter = allocate(1, sizeof *read);
        read->socket = socket;
    }
    struct sigevent event = {
        .sigev_notify = by_thread ? SIGEV_THREAD : SIGEV_SIGNAL,
        .sigev_signo = SIGRTMIN,
        .sigev_value.sival_ptr = read,
    };
    if (by_thread)
        event.sigev_notify_function = on_complete;
    read->block = (struct aiocb){.aio_fildes = socket->fd,
                                 .aio_buf = read->buffer,
                                 .aio_nbytes = missing_bytes(socket),
                                 .aio_sigevent = event};
    MUST(aio_read(&read->block));
}

/* Have a signal brought in `ns`, with the timer for its value. */
static void start_timer(struct request *request, int64_t ns)
{
    struct timer *timer = free_timers;
    struct itimerspec when = {.it_value = {ns / 1000000000, ns % 1000000000}};
    if (timer) {
        free_timers = timer->next;
    } else {
        timer = allocate(1, sizeof *timer);
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                                 .sigev_signo = SIGRTMIN,
                                 .sigev_value.sival_ptr = timer};
        MUST(timer_create(CLOCK_MONOTONIC, &event, &timer->id));
    }
    if (!ns) /* that would stop it */
        when.it_value.tv_nsec = 1;
    timer->request = request;
    MUST(timer_settime(timer->id, 0, &when, NULL));
}

/* Do the request's steps; a call is submitted, too, and ends the handler. */
static void advance(struct request *request)
{
    const struct step *step;
    struct socket *connection = request->connection, *socket;
    bool is_new;
    if (by_thread)
        serve(server, request);
    while (!by_thread && (step = next_step(server, request)) && !gave_up(server, request)) {
        if (step->kind == STEP_CPU) {
            burn(amount_of(server, request));
        } else if (step->kind == STEP_SLEEP) {
            start_timer(request, amount_of(server, request));
            return;
        } else if (blocks(server, step)) {
            hand_over(request);
            return;
        } else {
            socket = connection_to(server, step->device, false, &is_new);
            ask(socket, server, request);
            submit(socket);
            return;
        }
    }
    answer(server, request);
    submit(connection); /* the read of the next request */
}

/* The completion handler of a read: of a request, or of a device's answer. */
static void on_complete(union sigval what)
{
    struct read *read = what.sival_ptr;
    struct socket *socket = read->socket;
    struct request *request;
    int error = aio_error(&read->block);
    long count = aio_return(&read->block);
    switch (take_in(server, socket, read->buffer, error ? -error : count, &request)) {
    case CLOSED:
        if (socket->kind == DEVICE)
            give_up("a device has hung up");
        free(read);
        close_socket(socket);
        break;
    case MESSAGE:
        if (socket->kind == CONNECTION) {
            advance(request);
        } else if (try_again(server, request)) {
            ask(socket, server, request);
            submit(socket);
        } else {
            release(server, socket);
            advance(request);
        }
        break;
    default:
        submit(socket);
    }
}

/* The signal handler: something is complete, or a request's sleep is over. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    if (info->si_code == SI_TIMER) {
        struct timer *timer = info->si_value.sival_ptr;
        timer->next = free_timers;
        free_timers = timer;
        advance(timer->request);
    } else if (info->si_code == SI_QUEUE) {
        advance(info->si_value.sival_ptr);
    } else {
        on_complete(info->si_value);
    }
}

/* A call that only blocks has been made by a helper. */
static void on_called(struct request *request)
{
    MUST(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_ptr = request}));
}

/* Submit a read on each connection as it comes. */
static void accept_all(void *argument)
{
    (void)argument;
    for (;;) {
        struct socket *connection = accept_connection(server->listener, false);
        if (connection)
            submit(connection);
    }
}

/* Have reads submitted on each connection; do own work, or wait for signals. The program is
 * interrupted nowhere else, so its handler may do what it likes. */
static void run(struct server *given)
{
    int64_t workers = option_number(given->plan, "workers", 0);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t signals, before;
    server = given;
    by_thread = option_is(server->plan, "notify", "thread");
    aio_init(&(struct aioinit){.aio_threads = workers ? (int)workers : INT_MAX,
                               .aio_num = 1024,
                               .aio_idle_time = INT_MAX});
    set_up_helpers(server, workers, on_called);
    sigfillset(&action.sa_mask);
    MUST(sigaction(SIGRTMIN, &action, NULL));
    sigemptyset(&signals);
    sigaddset(&signals, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &signals, &before); /* in the acceptor, for good */
    spawn(accept_all, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (;;) {
        if (server->own_work)
            do_chunk(server);
        else
            pause();
    }
}
