"""io_uring: a submission ring, a completion ring, and who works between them.

What it models: a program fills submission queue entries (SQEs) in memory that it shares
with the kernel, hands over a batch of them by one `io_uring_enter`, and finds completions
(CQEs) in another ring:

    program:  fill fill fill | io_uring_enter: issue, issue, issue, asleep ... task work | look
    arrival:                                         queues task work, wakes -^

- A send is done where it is issued; what the send buffer has no room for leaves when it
  has, by a poll armed for that, and only then is the send complete (MSG_WAITALL). One whose
  socket the program closes completes with an error: at once, where Linux has it wait for the
  connection's end, as a request under way keeps the file open.
- A recv or accept takes what is there, or arms a poll: arrival then queues *task work* for
  the thread that has submitted it, which receives and posts the CQE when it next enters the
  kernel to wait (IORING_SETUP_DEFER_TASKRUN). A recv may find but a part of a message.
- Multishot, such an SQE stays armed and posts a CQE for each arrival.
- A call that can only block goes to a worker thread of the kernel (io-wq), of which there
  are only so many. There it costs what it costs a thread of the program, its entries to
  the kernel included, and is counted with the syscalls.
- A timeout is task work when its time has come; timers here have no slack.
- With SQPOLL a thread of the kernel looks for new SQEs, issues them and does the task work.
  It spins for `idle_ns` since it last found something, then sleeps; whoever submits after
  that has to wake it by io_uring_enter. Spinning is leaped over and charged.
- Completions beyond twice `entries` overflow: the kernel keeps them until the next
  io_uring_enter that asks for events. Overflowing ends a multishot SQE.

A message rests (`pause`) between an SQE's filling and its issue, and between the CQE's
posting and its being looked at: it waits in a ring then.

Not modelled: provided buffers, registered files, linked SQEs, cancellation, io-wq workers
that end when idle, several rings for one poller, IOPOLL; SQPOLL's idle time is time spent
spinning, not time passed.
Source: io_uring_setup(2), io_uring_enter(2); Linux 6.18 io_uring/io_uring.c, poll.c,
sqpoll.c, io-wq.c; Axboe, "Efficient IO with io_uring", 2019.
Validated by: tests/timeline/test_uring.py, tests/shape/test_r6_io_uring.py
"""

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final

from iosim.machine.costs import REFILL_STEP_BITS, REFILL_STEPS
from iosim.machine.sockets import EOF, PARTIAL, Part, Sentinel, Socket, SocketCalls
from iosim.machine.thread import (
    ENTRY,
    INTERRUPTED,
    REFILL,
    RUN,
    SOFTIRQ,
    SPIN,
    SYSCALL,
    USER,
    Program,
    Thread,
    WaitQueue,
)

ACCEPT: Final = "accept"
RECV: Final = "recv"
SEND: Final = "send"
TIMEOUT: Final = "timeout"
ECANCELED: Final = Sentinel("ECANCELED")
"""What comes of a send whose socket the program has closed."""

READ: Final = "read"
"""Has `message` answered by a call to `perform` that nothing but a blocked thread can do."""

CQ_ENTRIES_PER_SQ_ENTRY: Final = 2

BOUNDED_WORKERS_PER_CORE: Final = 4
"""io-wq has so many workers for reads that end, and no more than the ring has entries."""


class Sqe:
    """A submission queue entry, and the kernel's request that it becomes."""

    __slots__ = (
        "armed",
        "due_ns",
        "kind",
        "message",
        "multishot",
        "ns",
        "perform",
        "queued",
        "sent_bytes",
        "silent",
        "size_bytes",
        "socket",
        "uring",
    )

    uring: "Uring"
    """The ring it was submitted to, once it is armed."""
    due_ns: int
    """When a timeout that has been issued is over."""

    def __init__(
        self,
        kind: str,
        socket: Socket | None = None,
        message: Any = None,
        size_bytes: int = 0,
        ns: int = 0,
        multishot: bool = False,
        silent: bool = False,
        perform: "Callable[[Any], Generator[Any, Any, None]] | None" = None,
    ) -> None:
        self.kind = kind
        self.socket: Any = socket
        # What is sent, or whose time passes.
        self.message = message
        self.size_bytes = size_bytes
        self.sent_bytes = 0
        self.ns = ns
        self.multishot = multishot
        # IOSQE_CQE_SKIP_SUCCESS: no CQE if all goes well.
        self.silent = silent
        # What a worker does for a READ, given its own access to the kernel.
        self.perform = perform
        # Watches its socket; is in the task work.
        self.armed = False
        self.queued = False

    def arm(self, uring: "Uring") -> None:
        """Have what arrives on the socket, or for a send room in it, queue task work."""
        self.armed = True
        self.uring = uring
        self.socket.watchers.append(self)

    def disarm(self) -> None:
        """Wait for nothing more."""
        if self.armed:
            self.armed = False
            self.socket.watchers.remove(self)

    def on_readable(self, socket: Socket) -> None:
        if self.kind is not SEND and not self.queued:
            self.uring.add_work(self)

    def on_writable(self, socket: Socket) -> None:
        if self.kind is SEND:
            self.disarm()
            self.uring.add_work(self)

    def on_closed(self, socket: Socket) -> None:
        self.disarm()
        if self.kind is SEND:
            self.uring.add_work(self)
        elif self.queued:
            self.uring.work.remove(self)


class Cqe:
    """A completion: of which SQE, what came of it, and whether more will come."""

    __slots__ = ("more", "result", "sqe")

    def __init__(self, sqe: Sqe, result: Any, more: bool) -> None:
        self.sqe = sqe
        self.result = result
        # IORING_CQE_F_MORE: the SQE is still armed.
        self.more = more


class Uring:
    """An io_uring instance: its rings, its task work, its threads in the kernel."""

    def __init__(self, machine: Any, entries: int, idle_ns: int | None, workers: int) -> None:
        self.machine = machine
        self.entries = entries
        # Filled by the program and not handed over; handed over to SQPOLL and not taken.
        self.filled: deque[Sqe] = deque()
        self.submitted: deque[Sqe] = deque()
        self.completed: deque[Cqe] = deque()
        self.overflowed: deque[Cqe] = deque()
        self.work: list[Sqe] = []
        # Who waits for completions, and for how many.
        self.wait_queue = WaitQueue("io_uring_enter")
        self.wanted = 0
        # SQPOLL: its thread, whether that is spinning, or asleep and to be woken.
        self.idle_ns = idle_ns
        self.poller: Thread | None = None
        self.spinning = False
        self.need_wakeup = False
        self.poller_queue = WaitQueue("submissions")
        self.room_queue = WaitQueue("room in the submission ring")
        # io-wq.
        self.max_workers = workers
        self.workers = 0
        self.reads: deque[Sqe] = deque()
        self.worker_queue = WaitQueue("io-wq work")

    @property
    def full(self) -> bool:
        """True if there is no room for another SQE."""
        return len(self.filled) + len(self.submitted) >= self.entries

    def add_work(self, sqe: Sqe) -> None:
        """Queue task work, now, and wake whoever has to do it. Plain call."""
        queue = self.queue_work(sqe)
        if queue is not None:
            self.machine.wake_one(queue)

    def queue_work(self, sqe: Sqe) -> WaitQueue | None:
        """Queue task work, now; give back where a thread sleeps that is to be woken for it."""
        sqe.queued = True
        self.work.append(sqe)
        if self.poller is None:
            enough = len(self.work) + len(self.completed) >= self.wanted
            return self.wait_queue if enough and self.wait_queue.sleepers else None
        if self.spinning:
            self.end_spin()
        return self.poller_queue if self.poller_queue.sleepers else None

    def end_spin(self) -> None:
        """Let the poller find at its next look that there is something to do."""
        thread = self.poller
        assert thread is not None
        round_ns = spin_round_ns(self.machine.costs)
        left_ns = min(thread.core.remaining_ns(thread), thread.segments[-1][1])
        thread.core.trim(thread, left_ns - left_ns % round_ns)
        self.spinning = False


def spin_round_ns(costs: Any) -> int:
    """One look of SQPOLL's thread; even where costs are zero, time must pass."""
    return max(1, int(costs.io_uring_sqpoll_round_ns))


class UringCalls(SocketCalls):
    """io_uring_setup, io_uring_enter, and what liburing does around them in user space."""

    __slots__ = ()

    # ------------------------------------------------------------------------- syscalls

    def io_uring_setup(
        self, entries: int, sq_thread_idle_ns: int | None = None, workers: int = 0
    ) -> Generator[Any, Any, Uring]:
        """A new instance; with `sq_thread_idle_ns` SQPOLL; `workers` at most, 0: as usual."""
        thread, costs, machine = self.thread, self.costs, self.machine
        self.syscalls["io_uring_setup"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.io_uring_setup_ns, "io_uring_setup")
        usual = min(entries, BOUNDED_WORKERS_PER_CORE * len(machine.cores))
        uring = Uring(machine, entries, sq_thread_idle_ns, workers or usual)
        machine.memory.take("rings", entries * costs.io_uring_entry_memory_bytes)
        if sq_thread_idle_ns is not None:
            uring.poller = yield from self._spawn_in_kernel("iou-sqp", partial(poll, uring=uring))
        return uring

    def io_uring_enter(
        self,
        uring: Uring,
        min_complete: int | None = None,
        wake_up: bool = False,
        wait_for_room: bool = False,
    ) -> Generator[Any, Any, None]:
        """Submit all that is filled; do task work until there are `min_complete` completions.

        With SQPOLL nothing is submitted or worked off here: `wake_up` wakes its thread,
        `wait_for_room` sleeps until that has taken an SQE.
        """
        thread, costs = self.thread, self.costs
        self.syscalls["io_uring_enter"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.io_uring_enter_ns, "io_uring_enter")
        if uring.poller is None:
            yield from self._submit(uring, uring.filled)
        elif thread.debt_ns:
            yield RUN
        if wake_up and uring.poller_queue.sleepers:
            self.wake(uring.poller_queue, "io_uring_enter")
            if thread.debt_ns:
                yield RUN
        while wait_for_room and uring.full:
            if (yield uring.room_queue) is INTERRUPTED:
                break
        if min_complete is not None:
            yield from self._wait(uring, min_complete)
        yield from self.return_to_user()

    def _wait(self, uring: Uring, min_complete: int) -> Generator[Any, Any, None]:
        thread = self.thread
        own_work = uring.poller is None
        while True:
            if thread.debt_ns and not self.undisturbed():
                yield RUN
            if own_work and uring.work:
                yield from self._do_work(uring)
            while uring.overflowed and len(uring.completed) < self._room(uring):
                uring.completed.append(uring.overflowed.popleft())
            if len(uring.completed) >= min_complete:
                return
            if thread.debt_ns:
                yield RUN  # and look again, at the moment of falling asleep
            elif not (own_work and uring.work):
                uring.wanted = min_complete
                if (yield uring.wait_queue) is INTERRUPTED:
                    return

    @staticmethod
    def _room(uring: Uring) -> int:
        return CQ_ENTRIES_PER_SQ_ENTRY * uring.entries

    # ----------------------------------------------------------------------- user space

    def fill(self, uring: Uring, sqe: Sqe) -> None:
        """Fill in an SQE; there must be room. Plain call."""
        assert not uring.full
        self.thread.charge(USER, self.costs.io_uring_fill_ns, "fill an SQE")
        if sqe.kind is SEND:
            self.work_on_message()
        if sqe.message is not None:
            sqe.message.pause(self.now_ns)
        uring.filled.append(sqe)

    def io_uring_submit(self, uring: Uring) -> Generator[Any, Any, None]:
        """Hand over what is filled; with SQPOLL without a syscall while its thread is awake."""
        if uring.poller is None:
            yield from self.io_uring_enter(uring)
            return
        if self.thread.debt_ns:
            yield RUN
        uring.submitted.extend(uring.filled)
        uring.filled.clear()
        if uring.submitted:
            if uring.spinning:
                uring.end_spin()
            if uring.need_wakeup:
                yield from self.io_uring_enter(uring, wake_up=True)

    def io_uring_sqring_wait(self, uring: Uring) -> Generator[Any, Any, None]:
        """With SQPOLL, sleep until its thread has made room in the submission ring."""
        yield from self.io_uring_enter(uring, wait_for_room=True)

    def io_uring_submit_and_wait(
        self, uring: Uring, wait_nr: int
    ) -> Generator[Any, Any, list[Cqe]]:
        """Hand over what is filled, wait for completions, and take all there are."""
        if uring.poller is None:
            yield from self.io_uring_enter(uring, wait_nr)
        else:
            yield from self.io_uring_submit(uring)
            if self.thread.debt_ns:
                yield RUN
            if len(uring.completed) < wait_nr or uring.overflowed:
                yield from self.io_uring_enter(uring, wait_nr)
        cqes = list(uring.completed)
        uring.completed.clear()
        self.machine.waits += 1
        self.machine.wait_events += len(cqes)
        return cqes

    # ------------------------------------------------------------------------- issuing

    def _submit(self, uring: Uring, sqes: deque[Sqe]) -> Generator[Any, Any, None]:
        done: list[Cqe] = []
        for _ in range(len(sqes)):
            sqe = sqes.popleft()
            self.thread.charge(SYSCALL, self.costs.io_uring_per_sqe_ns, "issue an SQE")
            if sqe.kind is SEND:
                yield from self._send(uring, sqe, done)
            elif sqe.kind is TIMEOUT:
                yield from self._start_timer(uring, sqe)
            elif sqe.kind is READ:
                yield from self._hand_to_worker(uring, sqe)
            else:
                yield from self._attempt(uring, sqe, done)
        yield from self._post(uring, done)

    def _send(self, uring: Uring, sqe: Sqe, done: list[Cqe]) -> Generator[Any, Any, None]:
        """As sendto, from inside the kernel; what finds no room is sent when there is."""
        thread, costs, message, outgoing = self.thread, self.costs, sqe.message, sqe.socket.outgoing
        message.begin(thread, self.now_ns)
        if sqe.socket.descriptor < 0:
            message.pause(self.now_ns)
            done.append(Cqe(sqe, ECANCELED, False))  # IOSQE_CQE_SKIP_SUCCESS or not
            return
        peer = sqe.socket.peer
        part_bytes = sqe.size_bytes - sqe.sent_bytes
        if outgoing is not None:
            if thread.debt_ns:
                yield RUN  # what there is room for depends on the time
            part_bytes = min(part_bytes, outgoing.room_bytes)
        ns = costs.sendto_ns + (part_bytes * costs.sendto_per_kib_ns >> 10)
        thread.charge(SYSCALL, ns, "send")
        if peer.softirq_on_sender:
            thread.charge(SOFTIRQ, costs.receive_softirq_ns, "receive softirq")
        sqe.sent_bytes += part_bytes
        complete = sqe.sent_bytes == sqe.size_bytes
        if not complete:
            thread.charge(SYSCALL, costs.io_uring_poll_arm_ns, "arm a poll")
        if thread.debt_ns and (outgoing is not None or not self.undisturbed()):
            yield RUN
        at_ns = self.now_ns
        message.pause(at_ns)
        if outgoing is None:
            peer.receive(sqe.socket, message, at_ns)
        elif part_bytes:
            outgoing.put(message, part_bytes, last=complete)
        if not complete:
            outgoing.wait_for_room(message)
            sqe.arm(uring)
        elif not sqe.silent:
            done.append(Cqe(sqe, sqe.size_bytes, False))

    def _start_timer(self, uring: Uring, sqe: Sqe) -> Generator[Any, Any, None]:
        thread = self.thread
        sqe.message.begin(thread, self.now_ns)
        thread.charge(SYSCALL, self.costs.timer_set_ns, "timeout")
        if thread.debt_ns:
            yield RUN
        now = self.env._now
        sqe.message.pause(now)
        sqe.due_ns = now + sqe.ns
        self.machine.timers.at(sqe.due_ns, partial(uring.add_work, sqe))

    def _attempt(self, uring: Uring, sqe: Sqe, done: list[Cqe]) -> Generator[Any, Any, None]:
        """Take what is there; if that was nothing, or more is wanted, wait for arrivals."""
        thread, costs, socket = self.thread, self.costs, sqe.socket
        while True:
            if thread.debt_ns and not (socket.received or self.undisturbed()):
                yield RUN
            while socket.received:
                result = yield from self._take(sqe)
                more = sqe.multishot and result is not EOF
                done.append(Cqe(sqe, result, more))
                if not more:
                    sqe.disarm()
                    return
            if sqe.armed:
                return
            ns = costs.recvfrom_eagain_ns + costs.io_uring_poll_arm_ns
            thread.charge(SYSCALL, ns, "arm a poll")
            if thread.debt_ns and not self.undisturbed():
                yield RUN
            if not socket.received:
                sqe.arm(uring)
                return

    def _take(self, sqe: Sqe) -> Generator[Any, Any, Any]:
        """As recvfrom and accept4 when there is something, from inside the kernel."""
        thread, costs, socket = self.thread, self.costs, sqe.socket
        result = socket.received.pop(0)
        if sqe.kind is ACCEPT:
            thread.charge(SYSCALL, costs.accept4_ns, "accept")
            self.machine.open_descriptor(result)
            if thread.debt_ns and not self.undisturbed():
                yield RUN
            result.peer.accepted(result, self.now_ns)
        elif type(result) is Part:
            result = self._receive_parts(
                socket.received, result, SYSCALL, costs.recvfrom_ns, "recv"
            )
            if result is not PARTIAL and result is not EOF:
                result.pause(self.now_ns)
        else:
            result.begin(thread, self.now_ns)
            ns = costs.recvfrom_ns + (result.bytes * costs.recvfrom_per_kib_ns >> 10)
            thread.charge(SYSCALL, ns, "recv")
            self._refill(socket)
            result.pause(self.now_ns)
        return result

    def _refill(self, socket: Socket) -> None:
        """Owe fetching what serving this connection touches."""
        costs, core = self.costs, self.thread.core
        step = REFILL_STEPS
        if socket.core is core:
            step = (core.touched_bytes - socket.touched_bytes) >> REFILL_STEP_BITS
        socket.core = core
        core.touched_bytes = socket.touched_bytes = core.touched_bytes + costs.connection_bytes
        if step:
            refill_ns = costs.connection_refill_ns[step if step < REFILL_STEPS else -1]
            self.thread.charge(REFILL, refill_ns, "connection refill")

    # ----------------------------------------------------------------------- completing

    def _do_work(self, uring: Uring) -> Generator[Any, Any, None]:
        """Do the task work that is queued."""
        work, uring.work = uring.work, []
        for sqe in work:
            sqe.queued = False
        done: list[Cqe] = []
        for sqe in work:
            if sqe.kind is TIMEOUT or sqe.kind is READ:
                done.append(Cqe(sqe, sqe.message, False))
            elif sqe.kind is SEND:
                yield from self._send(uring, sqe, done)
            else:
                yield from self._attempt(uring, sqe, done)
        yield from self._post(uring, done)

    def _post(self, uring: Uring, done: list[Cqe]) -> Generator[Any, Any, None]:
        """Put completions in the ring; wake whoever waits for them."""
        if not done:
            return
        thread = self.thread
        thread.charge(SYSCALL, len(done) * self.costs.io_uring_per_cqe_ns, "post CQEs")
        if uring.poller is not None and thread.debt_ns:
            yield RUN  # the program may look at any moment
        for cqe in done:
            if len(uring.completed) < self._room(uring) and not uring.overflowed:
                uring.completed.append(cqe)
            else:
                uring.overflowed.append(cqe)
                if cqe.more:
                    cqe.more = False
                    cqe.sqe.disarm()
        enough = len(uring.completed) + len(uring.overflowed) >= uring.wanted
        if uring.wait_queue.sleepers and enough:
            self.wake(uring.wait_queue, "wake")

    # --------------------------------------------------------------- threads in the kernel

    def _spawn_in_kernel(self, name: str, program: Any) -> Generator[Any, Any, Thread]:
        thread = self.thread
        thread.charge(SYSCALL, self.costs.thread_create_ns, "create a kernel thread")
        if thread.debt_ns:
            yield RUN
        return self.machine.spawn(name, program, native=True)

    def poll_submissions(self, uring: Uring) -> Program:
        """What SQPOLL's thread does for ever."""
        thread = self.thread
        while True:
            if uring.submitted:
                yield from self._submit(uring, uring.submitted)
                if uring.room_queue.sleepers:
                    if thread.debt_ns:
                        yield RUN
                    self.wake(uring.room_queue, "wake")
            if thread.debt_ns:
                yield RUN
            if uring.work:
                yield from self._do_work(uring)
            yield from self.return_to_user()
            if thread.debt_ns:
                yield RUN
            if uring.submitted or uring.work:
                continue
            yield from self._spin(uring)
            if not (uring.submitted or uring.work):
                uring.need_wakeup = True
                yield uring.poller_queue
                uring.need_wakeup = False

    def _spin(self, uring: Uring) -> Generator[Any, Any, None]:
        assert uring.idle_ns is not None
        round_ns = spin_round_ns(self.costs)
        if uring.idle_ns >= round_ns:
            uring.spinning = True
            self.thread.charge(SPIN, uring.idle_ns // round_ns * round_ns, "look for SQEs")
            yield RUN
            uring.spinning = False

    def _hand_to_worker(self, uring: Uring, sqe: Sqe) -> Generator[Any, Any, None]:
        """Have a worker do what blocks: an idle one, a new one, or the next to be free."""
        thread = self.thread
        if thread.debt_ns:
            yield RUN
        uring.reads.append(sqe)
        if uring.worker_queue.sleepers:
            self.wake(uring.worker_queue, "wake a worker")
        elif uring.workers < uring.max_workers:
            uring.workers += 1
            name = f"iou-wrk {uring.workers}"
            yield from self._spawn_in_kernel(name, partial(work, uring=uring))

    def do_reads(self, uring: Uring) -> Program:
        """What a worker does for ever: the calls that block, one after the other."""
        thread = self.thread
        while True:
            while not uring.reads:
                yield uring.worker_queue
            sqe = uring.reads.popleft()
            assert sqe.perform is not None
            sqe.message.begin(thread, self.now_ns)
            yield from sqe.perform(self)
            if thread.debt_ns:
                yield RUN
            sqe.message.pause(self.env._now)
            queue = uring.queue_work(sqe)
            if queue is not None:
                self.wake(queue, "wake")
            yield from self.return_to_user()
            if thread.debt_ns:
                yield RUN


def poll(kernel: UringCalls, uring: Uring) -> Program:
    """The program of SQPOLL's thread."""
    return kernel.poll_submissions(uring)


def work(kernel: UringCalls, uring: Uring) -> Program:
    """The program of an io-wq worker."""
    return kernel.do_reads(uring)
