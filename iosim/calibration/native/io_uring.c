/* io_uring by its three syscalls: what an entry, an SQE and a CQE cost. */

#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

#define ENTRIES 256

static struct {
    int fd;
    unsigned *sq_tail, *cq_head, *cq_tail;
    unsigned sq_mask, cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
} ring;

static void *map(size_t bytes, off_t offset)
{
    void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
                       offset);
    if (found == MAP_FAILED)
        give_up("io_uring: mmap: %m");
    return found;
}

/* `defer`: completions are worked out in io_uring_enter alone, as servers have it. */
static const char *set_up(long defer)
{
    struct io_uring_params params = {
        .flags = defer ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN : 0};
    ring.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &params);
    if (ring.fd < 0)
        give_up("io_uring_setup: %m");
    char *sq = map(params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    char *cq = map(params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe),
                   IORING_OFF_CQ_RING);
    ring.sqes = map(params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    ring.sq_tail = (unsigned *)(sq + params.sq_off.tail);
    ring.sq_mask = *(unsigned *)(sq + params.sq_off.ring_mask);
    ring.cq_head = (unsigned *)(cq + params.cq_off.head);
    ring.cq_tail = (unsigned *)(cq + params.cq_off.tail);
    ring.cq_mask = *(unsigned *)(cq + params.cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
    unsigned *array = (unsigned *)(sq + params.sq_off.array);
    for (unsigned i = 0; i < params.sq_entries; i++)
        array[i] = i;
    return defer ? "defer" : "default";
}

static void fill(int opcode, int fd, void *buffer, unsigned bytes)
{
    unsigned tail = *ring.sq_tail;
    ring.sqes[tail & ring.sq_mask] = (struct io_uring_sqe){
        .opcode = (uint8_t)opcode, .fd = fd, .addr = (uintptr_t)buffer, .len = bytes};
    __atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
}

static void enter(unsigned submit, unsigned wait)
{
    MUST(syscall(SYS_io_uring_enter, ring.fd, submit, wait, IORING_ENTER_GETEVENTS, NULL, 0));
}

/* Look at `count` CQEs, and give them back. */
static void take(unsigned count)
{
    unsigned head = *ring.cq_head;
    if (__atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) - head < count)
        give_up("io_uring: fewer completions than were waited for");
    for (unsigned i = 0; i < count; i++)
        if (ring.cqes[(head + i) & ring.cq_mask].res < 0)
            give_up("io_uring: a request fails");
    __atomic_store_n(ring.cq_head, head + count, __ATOMIC_RELEASE);
}

/* Doing nothing, by batches of `argument[0]`: filling in, entering, and looking at the CQE, by one
 * of the batch. Leaves out whatever a request would do. */
PROBE(nops)
{
    unsigned batch = (unsigned)argument[0];
    const char *how = set_up(argument[1]);
    struct figure *each = figure("io_uring_nop_per_op", "batch=%u;%s", batch, how);
    int rounds = batch < 128 ? (int)(256 / batch) : 4;
    for (int i = -1; i < place.samples; i++) {
        int64_t begun_ns = now_ns();
        for (int round = 0; round < rounds; round++) {
            for (unsigned k = 0; k < batch; k++)
                fill(IORING_OP_NOP, -1, NULL, 0);
            enter(batch, batch);
            take(batch);
        }
        if (i >= 0)
            add(each, ((double)(now_ns() - begun_ns) - now_cost_ns()) / rounds / batch);
    }
}

/* 64 B sent by TCP on loopback, then received where they have arrived, an entry each. */
PROBE(send_and_receive)
{
    static char buffer[64];
    int ends[2];
    const char *how = set_up(argument[0]);
    connect_on_loopback(ends);
    MEASURE(figure("io_uring_tcp_send+recv", "%s", how), 50,
            fill(IORING_OP_SEND, ends[0], buffer, sizeof buffer);
            enter(1, 1); take(1);
            fill(IORING_OP_RECV, ends[1], buffer, sizeof buffer);
            enter(1, 1); take(1));
}

/* A receive that is armed before the 64 B are sent by send(2), and its completion waited for. */
PROBE(armed_receive)
{
    static char buffer[64];
    int ends[2];
    const char *how = set_up(argument[0]);
    connect_on_loopback(ends);
    MEASURE(figure("io_uring_armed_recv+plain_send", "%s", how), 50,
            fill(IORING_OP_RECV, ends[1], buffer, sizeof buffer);
            enter(1, 0);
            MUST(send(ends[0], buffer, sizeof buffer, 0));
            enter(0, 1); take(1));
}
