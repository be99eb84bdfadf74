/* How often a thread that is woken preempts who has woken it, on one core of this machine.
 *
 *     cc -O2 -pthread benchmarks/wake_up_preemption.c -o preemption && ./preemption
 *
 * One thread sleeps, computes 10 us, wakes the other, and computes 50 us; the other, woken, computes
 * 0, 20 or 200 us. tests/shape/test_wake_up_preemption.py simulates the same. */

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static int eventfd_of_the_other;
static volatile int64_t ran_ns, work_ns;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void compute(int64_t ns)
{
    for (int64_t end_ns = now_ns() + ns; now_ns() < end_ns;)
        ;
}

static void *other(void *unused)
{
    uint64_t value;
    while (read(eventfd_of_the_other, &value, sizeof value) == sizeof value) {
        ran_ns = now_ns();
        compute(work_ns);
    }
    return unused;
}

int main(void)
{
    const int times = 2000, works_us[] = {0, 20, 200};
    const struct timespec nap = {.tv_nsec = 300000};
    const uint64_t one = 1;
    pthread_t thread;
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(0, sizeof first, &first);
    eventfd_of_the_other = eventfd(0, 0);
    pthread_create(&thread, NULL, other, NULL);
    for (unsigned i = 0; i < sizeof works_us / sizeof *works_us; i++) {
        int preempted = 0;
        work_ns = works_us[i] * 1000;
        for (int n = 0; n < times; n++) {
            nanosleep(&nap, NULL);
            compute(10000);
            ran_ns = 0;
            if (write(eventfd_of_the_other, &one, sizeof one) != sizeof one)
                return 1;
            compute(50000);
            preempted += ran_ns != 0;
        }
        printf("the other computes %3d us: it preempts %.3f of the times\n", works_us[i],
               (double)preempted / times);
    }
}
