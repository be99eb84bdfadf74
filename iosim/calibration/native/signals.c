/* Signals: sending, delivering to a handler, waiting for them, and as the kernel sends them when a
 * socket is ready. All in one thread: nobody sleeps. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

static volatile int64_t handled_ns;

static void do_nothing(int number) { (void)number; }
static void take_time(int number)
{
    (void)number;
    handled_ns = now_ns();
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    MUST(sigaction(number, &action, NULL));
}

/* kill(2) to oneself of a signal that is ignored: sending without delivering. */
PROBE(kill_self_ignored)
{
    handle(SIGUSR1, SIG_IGN);
    pid_t self = getpid();
    MEASURE(figure("kill_self_ignored", NO_PARAM), 200, kill(self, SIGUSR1));
}

/* kill(2) to oneself, delivery to a handler that does nothing, and sigreturn. Leaves out the
 * handler's own work, and a thread that has to be woken or stopped for it. */
PROBE(kill_self_handler)
{
    handle(SIGUSR1, do_nothing);
    pid_t self = getpid();
    MEASURE(figure("kill_self_handler", "deliver+handler+sigreturn"), 100, kill(self, SIGUSR1));
}

/* Two ends, of which the first tells its owner by `number` that it is ready; 0: does not. */
static void pair(int ends[2], int number)
{
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    if (!number)
        return;
    MUST(fcntl(ends[0], F_SETOWN, getpid()));
    MUST(fcntl(ends[0], F_SETSIG, number));
    MUST(fcntl(ends[0], F_SETFL, O_ASYNC));
}

static void write_64(int fd)
{
    static const char bytes[64];
    if (write(fd, bytes, sizeof bytes) != sizeof bytes)
        give_up("write: %m");
}

static void read_64(int fd)
{
    char bytes[64];
    if (read(fd, bytes, sizeof bytes) != sizeof bytes)
        give_up("read: %m");
}

/* 64 B into a pair of local sockets and out: what the next two are held against. */
PROBE(pair_without_signal)
{
    int ends[2];
    pair(ends, 0);
    MEASURE(figure("sp_write+read_noasync", "64B"), 100, write_64(ends[1]); read_64(ends[0]));
}

/* The same with O_ASYNC, the signal's handler doing nothing. */
PROBE(pair_with_handler)
{
    int ends[2];
    handle(SIGRTMIN, do_nothing);
    pair(ends, SIGRTMIN);
    MEASURE(figure("sp_write+read_O_ASYNC_handler", "64B"), 100, write_64(ends[1]);
            read_64(ends[0]));
}

/* From before the write until the handler runs, in the writer's own thread. */
PROBE(write_to_handler)
{
    int ends[2];
    handle(SIGRTMIN, take_time);
    pair(ends, SIGRTMIN);
    struct figure *reaching = figure("sigio_write_to_handler", "same_thread");
    for (int i = -5; i < place.samples; i++) {
        int64_t begun_ns = now_ns();
        write_64(ends[1]);
        if (i >= 0)
            add(reaching, (double)(handled_ns - begun_ns) - now_cost_ns());
        read_64(ends[0]);
    }
}

static void block(int number, sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, number);
    MUST(sigprocmask(SIG_BLOCK, set, NULL));
}

/* The same with the signal blocked, and taken from the queue by sigwaitinfo, where it is. */
PROBE(pair_with_sigwaitinfo)
{
    int ends[2];
    sigset_t set;
    block(SIGRTMIN, &set);
    pair(ends, SIGRTMIN);
    MEASURE(figure("sp_write+sigwaitinfo+read", "64B"), 100, write_64(ends[1]);
            MUST(sigwaitinfo(&set, NULL)); read_64(ends[0]));
}

/* Asking for a signal when none is pending, and not waiting for one. */
PROBE(sigtimedwait_empty)
{
    sigset_t set;
    struct timespec no_time = {0};
    block(SIGRTMIN, &set);
    MEASURE(figure("sigtimedwait_empty", NO_PARAM), 200, sigtimedwait(&set, NULL, &no_time));
}

/* Blocking a signal that is blocked. */
PROBE(sigprocmask_block)
{
    sigset_t set;
    block(SIGRTMIN, &set);
    MEASURE(figure("sigprocmask", NO_PARAM), 500, sigprocmask(SIG_BLOCK, &set, NULL));
}
