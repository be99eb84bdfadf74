/* Completion-based I/O with io_uring: the kernel is told what to do, and tells what is done. The
 * twin of iosim/io_models/io_uring.py. */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "helpers.h"

MODEL("io_uring")

#define BUFFERS 256 /* that the kernel may fill with what multishot receives */
#define BUFFER_BYTES 16384
#define BUFFER_GROUP 0

/* What an SQE is for: in the low bits of its user_data, beside the socket or the request. */
enum purpose { ACCEPT, RECV, SEND, SILENT, QUERY, TIMEOUT, CALLED };

static struct server *server;
static struct {
    int fd;
    unsigned entries, batch;
    unsigned *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail;
    unsigned sq_mask, cq_mask;
    unsigned filled; /* the tail, of which the kernel has not been told yet */
    struct io_uring_sqe *sqes;
    struct __kernel_timespec *timeouts; /* one for each SQE */
    struct io_uring_cqe *cqes;
    bool sqpoll, multishot, skip_send;
    struct io_uring_buf_ring *buffer_ring;
    char *buffers;
} ring;

/* Results of calls that blocked, from helper threads. */
static struct {
    int eventfd;
    uint64_t count;
    pthread_mutex_t mutex;
    struct queue results;
} called = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ------------------------------------------------------------------------- the ring */

static unsigned load(unsigned *shared) { return __atomic_load_n(shared, __ATOMIC_ACQUIRE); }
static void store(unsigned *shared, unsigned value)
{
    __atomic_store_n(shared, value, __ATOMIC_RELEASE);
}

static void enter(unsigned submitted, unsigned min_complete, unsigned flags)
{
    long result = syscall(SYS_io_uring_enter, ring.fd, submitted, min_complete, flags, NULL, 0);
    if (result < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY)
        MUST(result);
}

/* How many SQEs the kernel has not taken yet. */
static unsigned not_taken(void) { return ring.filled - load(ring.sq_head); }

/* Hand over what is filled; with SQPOLL without a syscall while its thread is awake. */
static void submit(void)
{
    store(ring.sq_tail, ring.filled);
    if (!ring.sqpoll) {
        enter(not_taken(), 0, 0);
        return;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (load(ring.sq_flags) & IORING_SQ_NEED_WAKEUP)
        enter(0, 0, IORING_ENTER_SQ_WAKEUP);
}

/* Hand over what is filled, and wait for completions. */
static void submit_and_wait(unsigned wait_nr)
{
    if (!ring.sqpoll) {
        store(ring.sq_tail, ring.filled);
        enter(not_taken(), wait_nr, IORING_ENTER_GETEVENTS);
        return;
    }
    submit();
    if (load(ring.cq_tail) - *ring.cq_head < wait_nr
        || load(ring.sq_flags) & IORING_SQ_CQ_OVERFLOW)
        enter(0, wait_nr, IORING_ENTER_GETEVENTS);
}

/* An SQE to be filled in; those before it are handed over first if the batch or the ring is full. */
static struct io_uring_sqe *new_sqe(enum purpose purpose, void *what, int opcode, int fd)
{
    if (not_taken() == ring.entries || ring.filled - *ring.sq_tail >= ring.batch) {
        submit();
        while (not_taken() == ring.entries) /* the kernel's thread has not taken any yet */
            enter(0, 0, IORING_ENTER_SQ_WAIT);
    }
    struct io_uring_sqe *sqe = &ring.sqes[ring.filled++ & ring.sq_mask];
    *sqe = (struct io_uring_sqe){.opcode = (uint8_t)opcode,
                                 .fd = fd,
                                 .user_data = (uintptr_t)what | purpose};
    return sqe;
}

static void *map(size_t bytes, off_t offset)
{
    void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
                       offset);
    if (found == MAP_FAILED)
        give_up("io_uring: mmap: %s", strerror(errno));
    return found;
}

/* Give a buffer back to the kernel. */
static void give_buffer(unsigned number)
{
    struct io_uring_buf_ring *all = ring.buffer_ring;
    struct io_uring_buf *buffer = &all->bufs[all->tail & (BUFFERS - 1)];
    buffer->addr = (uintptr_t)(ring.buffers + number * BUFFER_BYTES);
    buffer->len = BUFFER_BYTES;
    buffer->bid = (uint16_t)number;
    __atomic_store_n(&all->tail, (uint16_t)(all->tail + 1), __ATOMIC_RELEASE);
}

static void set_up_buffers(void)
{
    size_t bytes = BUFFERS * sizeof(struct io_uring_buf);
    ring.buffer_ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ring.buffers = allocate(BUFFERS, BUFFER_BYTES);
    struct io_uring_buf_reg where = {.ring_addr = (uintptr_t)ring.buffer_ring,
                                     .ring_entries = BUFFERS,
                                     .bgid = BUFFER_GROUP};
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PBUF_RING, &where, 1) < 0)
        give_up("io_uring: multishot needs buffers that the kernel chooses: %s", strerror(errno));
    for (unsigned i = 0; i < BUFFERS; i++)
        give_buffer(i);
}

static void set_up(const struct plan *plan)
{
    struct io_uring_params params = {.flags = IORING_SETUP_CLAMP};
    ring.sqpoll = option_number(plan, "sqpoll", 0);
    ring.multishot = option_number(plan, "multishot", 0);
    /* Where an answer may have to wait, the next must not overtake it. */
    ring.skip_send = option_number(plan, "skip_send", 0) && !plan->receive_bytes_per_s
                     && plan->pipeline <= 1;
    if (ring.sqpoll) {
        params.flags |= IORING_SETUP_SQPOLL;
        params.sq_thread_idle =
            (unsigned)(option_number(plan, "sq_thread_idle", 1000000000) / 1000000);
    } else {
        params.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    }
    unsigned entries = (unsigned)option_number(plan, "entries", 256);
    ring.fd = (int)syscall(SYS_io_uring_setup, entries, &params);
    if (ring.fd < 0)
        give_up("io_uring: the kernel refuses: %s", strerror(errno));
    if (!(params.features & IORING_FEAT_SINGLE_MMAP) || !(params.features & IORING_FEAT_CQE_SKIP))
        give_up("io_uring: this kernel is too old");
    ring.entries = params.sq_entries;
    ring.batch = (unsigned)option_number(plan, "batch", 0);
    if (!ring.batch)
        ring.batch = entries;
    size_t sq_bytes = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    size_t cq_bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    char *rings = map(sq_bytes > cq_bytes ? sq_bytes : cq_bytes, IORING_OFF_SQ_RING);
    ring.sqes = map(params.sq_entries * sizeof *ring.sqes, IORING_OFF_SQES);
    ring.timeouts = allocate(params.sq_entries, sizeof *ring.timeouts);
    ring.sq_head = (unsigned *)(rings + params.sq_off.head);
    ring.sq_tail = (unsigned *)(rings + params.sq_off.tail);
    ring.sq_flags = (unsigned *)(rings + params.sq_off.flags);
    ring.sq_mask = *(unsigned *)(rings + params.sq_off.ring_mask);
    ring.cq_head = (unsigned *)(rings + params.cq_off.head);
    ring.cq_tail = (unsigned *)(rings + params.cq_off.tail);
    ring.cq_mask = *(unsigned *)(rings + params.cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
    for (unsigned i = 0; i < params.sq_entries; i++)
        ((unsigned *)(rings + params.sq_off.array))[i] = i;
    if (ring.multishot)
        set_up_buffers();
}

/* ---------------------------------------------------------------------- the program */

static void submit_accept(void)
{
    struct io_uring_sqe *sqe = new_sqe(ACCEPT, NULL, IORING_OP_ACCEPT, server->listener->fd);
    sqe->accept_flags = SOCK_CLOEXEC;
    if (ring.multishot)
        sqe->ioprio = IORING_ACCEPT_MULTISHOT;
}

/* A socket's `watched` is how many of its SQEs will still be completed; `waiter` its buffer. */
static void submit_recv(struct socket *socket)
{
    struct io_uring_sqe *sqe = new_sqe(RECV, socket, IORING_OP_RECV, socket->fd);
    socket->watched++;
    if (ring.multishot && socket->kind == CONNECTION) {
        sqe->ioprio = IORING_RECV_MULTISHOT;
        sqe->flags = IOSQE_BUFFER_SELECT;
        sqe->buf_group = BUFFER_GROUP;
        return;
    }
    if (!socket->waiter)
        socket->waiter = allocate(READ_BYTES, 1);
    sqe->addr = (uintptr_t)socket->waiter;
    sqe->len = (unsigned)missing_bytes(socket);
}

/* Submit a send of what is in `out`. SILENT: no CQE but if it fails, of which recv will tell. */
static void submit_send(struct socket *socket, size_t bytes, enum purpose purpose)
{
    struct io_uring_sqe *sqe = new_sqe(purpose, socket, IORING_OP_SEND, socket->fd);
    sqe->addr = (uintptr_t)(socket->out + socket->sent_bytes);
    sqe->len = (unsigned)(bytes - socket->sent_bytes);
    sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
    if (purpose == SILENT)
        sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    else
        socket->watched++;
}

/* Close it when nothing that is under way needs it any more. */
static void close_when_done(struct socket *socket)
{
    if (socket->watched) {
        shutdown(socket->fd, SHUT_RDWR);
        return;
    }
    if (ring.skip_send && not_taken()) /* an answer may be among them */
        submit();
    free(socket->waiter);
    close_socket(socket);
}

/* Submit a device's query, and the recv of its answer. */
static void submit_query(struct socket *socket, struct request *request)
{
    write_query(socket, server, request);
    submit_send(socket, QUERY_BYTES, ring.skip_send ? SILENT : QUERY);
    submit_recv(socket);
}

/* Submit the answer; after those before it, if a send may have to wait for room. */
static void reply(struct request *request)
{
    struct socket *connection = request->connection;
    if (is_gone(request)) {
        free(request);
        return;
    }
    bool under_way = connection->unsent.first;
    if (!ring.skip_send)
        put(&connection->unsent, request);
    if (!under_way) {
        write_reply(request);
        submit_send(connection, request->reply_bytes, ring.skip_send ? SILENT : SEND);
    }
    if (ring.skip_send) {
        count_answered(server);
        free(request);
    }
}

/* Do the request's steps up to one that takes time elsewhere, or answer it. */
static void advance(struct request *request)
{
    const struct step *step;
    bool is_new;
    while ((step = next_step(server, request))) {
        if (gave_up(server, request)) {
            free(request);
            return;
        }
        int64_t amount = amount_of(server, request);
        if (step->kind == STEP_CPU) {
            burn(amount);
        } else if (step->kind == STEP_SLEEP) {
            struct io_uring_sqe *sqe = new_sqe(TIMEOUT, request, IORING_OP_TIMEOUT, -1);
            struct __kernel_timespec *timeout = &ring.timeouts[sqe - ring.sqes];
            *timeout = (struct __kernel_timespec){amount / 1000000000, amount % 1000000000};
            sqe->addr = (uintptr_t)timeout;
            sqe->len = 1;
            return;
        } else if (blocks(server, step)) {
            hand_over(request);
            return;
        } else {
            submit_query(connection_to(server, step->device, false, &is_new), request);
            return;
        }
    }
    reply(request);
}

/* A send is complete: submit the next on that connection. */
static void on_sent(struct socket *connection, int result)
{
    struct request *request = connection->unsent.first;
    connection->watched--;
    if (result > 0)
        connection->sent_bytes += (size_t)result;
    if (result <= 0 || connection->sent_bytes == request->reply_bytes) {
        if (result > 0)
            count_answered(server);
        connection->sent_bytes = 0;
        free(take(&connection->unsent));
        request = connection->unsent.first;
        if (request && connection->is_open)
            write_reply(request);
    }
    if (!connection->is_open)
        close_when_done(connection);
    else if (request)
        submit_send(connection, request->reply_bytes, SEND);
}

/* Take in what has been received: requests, a device's answer, or the end of a connection. */
static void on_bytes(struct socket *socket, const char *bytes, long count, bool more)
{
    bool last = !socket->is_open;
    while (!last) {
        struct request *request;
        long missing = (long)missing_bytes(socket), part = count < missing ? count : missing;
        enum received what = take_in(server, socket, bytes, part, &request);
        bytes += part;
        count -= part;
        last = count <= 0;
        if (what == CLOSED)
            break;
        if (last && !more && !(what == MESSAGE && socket->kind == DEVICE))
            submit_recv(socket);
        if (what != MESSAGE)
            continue;
        if (socket->kind == CONNECTION) {
            advance(request);
        } else if (try_again(server, request)) {
            submit_query(socket, request);
        } else {
            release(server, socket);
            advance(request);
        }
    }
    if (!socket->is_open) {
        if (socket->kind == DEVICE)
            give_up("a device has hung up");
        close_when_done(socket);
    }
}

static void on_received(struct socket *socket, const struct io_uring_cqe *cqe)
{
    bool more = cqe->flags & IORING_CQE_F_MORE;
    if (!more)
        socket->watched--;
    if (cqe->res == -ENOBUFS) {
        if (socket->is_open)
            submit_recv(socket);
        else
            close_when_done(socket);
    } else if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned number = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        on_bytes(socket, ring.buffers + number * BUFFER_BYTES, cqe->res, more);
        give_buffer(number);
    } else {
        on_bytes(socket, socket->waiter, cqe->res, more);
    }
}

static void submit_called(void)
{
    struct io_uring_sqe *sqe = new_sqe(CALLED, NULL, IORING_OP_READ, called.eventfd);
    sqe->addr = (uintptr_t)&called.count;
    sqe->len = sizeof called.count;
}

/* In a helper: a call that blocks has been made. */
static void on_called(struct request *request)
{
    uint64_t one = 1;
    lock(&called.mutex);
    bool first = !called.results.first;
    put(&called.results, request);
    unlock(&called.mutex);
    if (first) /* else the loop has been told and has not looked yet */
        MUST(write(called.eventfd, &one, sizeof one));
}

static void on_results(void)
{
    struct request *request;
    submit_called();
    lock(&called.mutex);
    struct queue results = called.results;
    called.results = (struct queue){0};
    unlock(&called.mutex);
    while ((request = take(&results)))
        advance(request);
}

/* Go on where the SQE was submitted. */
static void on_complete(const struct io_uring_cqe *cqe)
{
    void *what = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)7);
    switch ((enum purpose)(cqe->user_data & 7)) {
    case ACCEPT:
        if (!(cqe->flags & IORING_CQE_F_MORE))
            submit_accept();
        if (cqe->res >= 0)
            submit_recv(adopt(cqe->res, CONNECTION));
        else if (cqe->res != -ECONNABORTED && cqe->res != -EAGAIN)
            give_up("accept: %s", strerror(-cqe->res));
        break;
    case RECV:
        on_received(what, cqe);
        break;
    case SEND:
        on_sent(what, cqe->res);
        break;
    case QUERY:
        ((struct socket *)what)->watched--;
        if (cqe->res != QUERY_BYTES)
            give_up("a device has hung up");
        break;
    case TIMEOUT:
        advance(what);
        break;
    case CALLED:
        on_results();
        break;
    case SILENT:
        break;
    }
}

/* Submit and wait, for ever; do own work when there is nothing to do. */
static void run(struct server *given)
{
    server = given;
    set_up(server->plan);
    called.eventfd = (int)MUST(eventfd(0, EFD_CLOEXEC));
    int64_t workers = option_number(server->plan, "workers", 0);
    int64_t usual = 4 * sysconf(_SC_NPROCESSORS_ONLN);
    if (!workers)
        workers = usual < ring.entries ? usual : ring.entries;
    set_up_helpers(server, workers, on_called);
    submit_accept();
    for (int i = 0; i < server->plan->n_devices; i++)
        if (server->plan->devices[i].blocking) {
            submit_called();
            break;
        }
    for (;;) {
        submit_and_wait(server->own_work ? 0 : 1);
        unsigned head = *ring.cq_head, tail = load(ring.cq_tail), first = head;
        for (; head != tail; head++) {
            struct io_uring_cqe cqe = ring.cqes[head & ring.cq_mask];
            store(ring.cq_head, head + 1);
            on_complete(&cqe);
        }
        COUNT(server, waits, 1);
        COUNT(server, wait_events, tail - first);
        if (server->own_work && tail == first)
            do_chunk(server);
    }
}
