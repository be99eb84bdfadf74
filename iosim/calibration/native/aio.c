/* POSIX AIO, which glibc does by a thread that reads: a round trip is a hand-over to it, a pread
 * of 64 B from the page cache, and the way in which it tells. All on one core; requests that are
 * under way together are left out. */

#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

static char buffer[64];
static sem_t told;

static struct aiocb request_of_64(void)
{
    FILE *file = tmpfile();
    static const char content[64];
    if (!file || write(fileno(file), content, sizeof content) != sizeof content)
        give_up("a temporary file: %m");
    return (struct aiocb){.aio_fildes = fileno(file), .aio_buf = buffer, .aio_nbytes = 64};
}

static void done(struct aiocb *request)
{
    int error = aio_error(request);
    if (error)
        give_up("aio_read: %s", strerror(error));
    aio_return(request);
}

/* aio_suspend until it is done. */
PROBE(aio_by_suspend)
{
    struct aiocb request = request_of_64();
    const struct aiocb *const all[] = {&request};
    request.aio_sigevent.sigev_notify = SIGEV_NONE;
    MEASURE_ONE(figure("posix_aio_read_roundtrip", "aio_suspend"), , MUST(aio_read(&request));
                while (aio_error(&request) == EINPROGRESS) aio_suspend(all, 1, NULL),
                done(&request));
}

/* A signal that sigwaitinfo waits for. */
PROBE(aio_by_signal)
{
    struct aiocb request = request_of_64();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL));
    request.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    request.aio_sigevent.sigev_signo = SIGRTMIN;
    MEASURE_ONE(figure("posix_aio_read_roundtrip", "SIGEV_SIGNAL+sigwaitinfo"), ,
                MUST(aio_read(&request));
                MUST(sigwaitinfo(&set, NULL)), done(&request));
}

static void tell(union sigval nothing)
{
    (void)nothing;
    sem_post(&told);
}

/* A thread that is started for it, and posts a semaphore. */
PROBE(aio_by_thread)
{
    struct aiocb request = request_of_64();
    MUST(sem_init(&told, 0, 0));
    request.aio_sigevent.sigev_notify = SIGEV_THREAD;
    request.aio_sigevent.sigev_notify_function = tell;
    MEASURE_ONE(figure("posix_aio_read_roundtrip", "SIGEV_THREAD"), , MUST(aio_read(&request));
                while (sem_wait(&told) < 0 && errno == EINTR), done(&request));
}
