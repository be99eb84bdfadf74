/* The kernel's entry, and calls that do next to nothing there. Each sample is the mean of a batch,
 * with everything in the caches: what a server's own work pushes out of them is left out. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

/* A clock that is read without entering the kernel. Leaves out nothing; on a machine whose clock
 * cannot be read so, it is a syscall. */
PROBE(clock_gettime_vdso)
{
    struct timespec time;
    MEASURE(figure("clock_gettime_vdso", NO_PARAM), 1000, clock_gettime(CLOCK_MONOTONIC, &time));
}

/* Entry, exit and a lookup of the parent: the least that a syscall costs. */
PROBE(null_syscall)
{
    MEASURE(figure("null_syscall", "getppid"), 500, syscall(SYS_getppid));
}

/* The thread's CPU clock, which other probes read and subtract. */
PROBE(clock_gettime_thread_cputime)
{
    MEASURE(figure("clock_gettime_thread_cputime", NO_PARAM), 200, cpu_ns());
}

/* A syscall that copies a small structure. */
PROBE(getrusage_self)
{
    struct rusage usage;
    MEASURE(figure("getrusage", "RUSAGE_SELF"), 200, getrusage(RUSAGE_SELF, &usage));
}

/* Reading a descriptor's flags. Setting them is left out. */
PROBE(fcntl_getfl)
{
    int fd = MUST(eventfd(0, 0));
    MEASURE(figure("fcntl_getfl", NO_PARAM), 500, fcntl(fd, F_GETFL));
}

/* Writing and reading a counter for which nobody waits. */
PROBE(eventfd_write_read)
{
    int fd = MUST(eventfd(0, 0));
    uint64_t value = 1;
    MEASURE(figure("eventfd_write+read", NO_PARAM), 200,
            if (write(fd, &value, 8) != 8 || read(fd, &value, 8) != 8) give_up("eventfd: %m"));
}

/* Writing and reading `argument[0]` bytes of a pipe for which nobody waits. */
PROBE(pipe_write_read)
{
    static char buffer[65536];
    size_t bytes = (size_t)argument[0];
    int ends[2];
    MUST(pipe(ends));
    MEASURE(figure("pipe_write+read", "%zuB", bytes), 200,
            if (write(ends[1], buffer, bytes) < 0 || read(ends[0], buffer, bytes) < 0)
                give_up("pipe: %m"));
}

/* 64 B of a file in the page cache. The file has no name, and lies where temporary ones do: other
 * file systems may do more. */
PROBE(pread_file_cached)
{
    static char buffer[4096];
    FILE *file = tmpfile();
    if (!file)
        give_up("tmpfile: %m");
    int fd = fileno(file);
    MUST(write(fd, buffer, sizeof buffer));
    MEASURE(figure("pread_file_cached", "64B"), 500,
            if (pread(fd, buffer, 64, 0) != 64) give_up("pread: %m"));
}

/* Giving the core away when nobody wants it. */
PROBE(sched_yield_alone)
{
    MEASURE(figure("sched_yield", "alone"), 500, sched_yield());
}
