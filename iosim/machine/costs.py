"""What everything costs: the numbers that a profile gives to the machine.

One frozen object of plain integers, made from a profile (`iosim.profile`). A field's
name is the profile's key plus its unit; a table is tuples (x, ns), linear in between
and constant beyond its ends.

What it models: two laws that are more than a number.

- *Leaving idle* (`leave_idle`): the longer a core has idled, the longer it takes to run
  again, the more of that is charged to the thread that wakes, and the colder it starts.
- *Cache refill* (`refill`): what a thread or a connection touches has to be fetched
  again if much else was touched on that core since (its reuse distance). One law covers
  a ring of N threads, a working set that outgrows the cache, and many connections.

Scope: mean costs; each run of the simulator treats a cost as a constant.
Not modelled: the spread of a single cost from call to call.
Source: each cost's own, in the profile.
Validated by: tests/unit/test_costs.py, tests/unit/test_profile.py
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

Table = tuple[tuple[int, int], ...]

IDLE_STEP_BITS = 10
IDLE_STEPS = 4096
"""`leave_idle` is tabulated in steps of 2**10 ns, up to 4.2 ms; beyond it is worked out."""

REFILL_STEP_BITS = 14
REFILL_STEPS = 2048
"""Refill is tabulated in steps of 16 KiB of reuse distance, up to 32 MiB."""


def interpolate(table: Table, x: int) -> int:
    """The table's value at `x`: linear between points, constant beyond the ends."""
    index = bisect_right(table, (x, 2**63))
    if index == 0:
        return table[0][1]
    if index == len(table):
        return table[-1][1]
    (x0, y0), (x1, y1) = table[index - 1], table[index]
    return y0 + (y1 - y0) * (x - x0) // (x1 - x0)


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs in ns (fields `_ns`), sizes in bytes (`_bytes`), tables of them.

    Syscall fields exclude `syscall_ns`, which each syscall pays on top.
    """

    # --- the kernel's entry
    syscall_ns: int
    """Entering the kernel and leaving it."""
    # --- threads and cores
    context_switch_ns: int
    """The core going from one thread to another, caches aside."""
    idle_exit_ns: Table
    """Latency of a wake-up by how long the core had idled."""
    idle_exit_charged_ns: Table
    """The part of idle_exit that counts as CPU time of the woken thread."""
    cold_execution_ns: Table
    """Extra CPU time of the woken thread, by how long the core had idled."""
    cache_refill_per_kib_ns: Table
    """Refetching a KiB, by the bytes touched on the core since it was last used."""
    cache_bytes: int
    """Reuse distance beyond which nothing is left in any cache."""
    wake_up_ns: int
    """What waking a thread costs the waker."""
    wake_up_idle_core_ns: int
    """What waking costs the waker on top if the core is idle: an interrupt to it."""
    thread_create_ns: int
    """clone3(2), for the thread that calls it."""
    thread_exit_ns: int
    """A thread's end."""
    fork_ns: int
    """fork(2), for the process that calls it."""
    # --- sockets
    accept4_ns: int
    """Taking a connection from the accept queue."""
    connect_ns: int
    """Opening a connection."""
    close_ns: int
    """Closing a connection."""
    recvfrom_ns: int
    """Taking a message that is there."""
    recvfrom_eagain_ns: int
    """Finding that no message is there."""
    recvfrom_per_kib_ns: int
    """Copying a KiB of a message to the program."""
    sendto_ns: int
    """The sender's side of a message."""
    sendto_per_kib_ns: int
    """Copying a KiB of a message from the program."""
    receive_softirq_ns: int
    """The receiver's side of a message: on loopback the sender's core pays it."""
    interrupt_ns: int
    """A card's interrupt up to the softirq, where interrupts are coalesced."""
    connection_bytes: int
    """What serving a connection touches in the kernel and the program."""
    # --- files and name lookups
    pread64_ns: int
    """Reading from a file what the page cache has, without the copy."""
    pwrite64_ns: int
    """Writing to the page cache, without the copy."""
    fsync_ns: int
    """fsync(2), without the device."""
    file_copy_per_kib_ns: Table
    """Copying a KiB from or to the page cache, by the size of the access."""
    block_submit_ns: int
    """From the page cache's miss to the device's doorbell."""
    block_interrupt_ns: int
    """A completion: the interrupt, and ending the access."""
    getaddrinfo_ns: int
    """A lookup that asks no server: reading the configuration and /etc/hosts."""
    # --- readiness
    poll_ns: int
    """A select or poll, without what each descriptor costs."""
    poll_per_descriptor_ns: Table
    """A descriptor's turn in one pass of select or poll, by the descriptors scanned."""
    poll_register_ns: int
    """Joining and leaving one descriptor's wait queue, in a call that may block: half each."""
    poll_answer_ns: int
    """The program's own look at one descriptor in the answer."""
    epoll_create1_ns: int
    """Making an epoll."""
    epoll_wait_ns: int
    """An epoll_wait, without what each event costs."""
    epoll_wait_per_event_ns: int
    """Reporting one event in an epoll_wait."""
    epoll_ctl_add_ns: int
    """Adding a descriptor to what an epoll watches."""
    epoll_ctl_mod_ns: int
    """Changing what an epoll watches of a descriptor."""
    epoll_ctl_del_ns: int
    """Taking a descriptor off what an epoll watches."""
    # --- io_uring
    io_uring_setup_ns: int
    """Making a ring."""
    io_uring_enter_ns: int
    """io_uring_enter(2), without its entries."""
    io_uring_fill_ns: int
    """Filling in an SQE, in user space."""
    io_uring_per_sqe_ns: int
    """Issuing an SQE, without what it asks for."""
    io_uring_per_cqe_ns: int
    """Posting a CQE, and the program's look at it."""
    io_uring_poll_arm_ns: int
    """Arming a poll, and the task work that it queues when something arrives."""
    io_uring_sqpoll_round_ns: int
    """A look in vain of SQPOLL's thread."""
    # --- synchronization, signals, timers
    lock_ns: int
    """An uncontended lock or unlock in user space."""
    condition_wait_ns: int
    """What waiting on a condition variable does in user space before it lets its mutex go."""
    futex_ns: int
    """futex(2) to wait or to wake, without the wake-up itself."""
    eventfd_read_ns: int
    """Resetting an eventfd."""
    eventfd_write_ns: int
    """Adding to an eventfd, without the wake-up itself."""
    signal_send_ns: int
    """Sending a signal."""
    signal_deliver_ns: int
    """Entering a signal's handler."""
    sigreturn_ns: int
    """Returning from a signal's handler."""
    sigprocmask_ns: int
    """Changing which signals are blocked, or how one is handled."""
    fcntl_ns: int
    """Setting an owner, a signal or a flag."""
    sigtimedwait_ns: int
    """Looking whether a signal is pending."""
    signal_take_ns: int
    """Taking one out of the queue, with its siginfo."""
    timer_set_ns: int
    """Setting a timer."""
    timer_slack_ns: int
    """How late a sleeping thread's timer may fire, so as to share an interrupt."""
    # --- user space
    message_ns: int
    """A program's own work on a message that it answers: finding whose it is and what to do."""
    coroutine_switch_ns: int
    """Going from one coroutine to another in user space."""
    coroutine_longjmp_ns: int
    """The same, by setjmp and longjmp."""
    queue_operation_ns: int
    """Putting an item in or taking it out of a queue in user space."""
    # --- goroutines
    goroutine_switch_ns: int
    """From one goroutine to the next, with putting into and taking from a run queue."""
    goroutine_create_ns: int
    """A go statement."""
    goroutine_syscall_ns: int
    """What the runtime does before and after each syscall of a goroutine."""
    processor_look_ns: int
    """Looking at another processor's run queue."""
    # --- CPython
    cpython_cold_execution_ns: Table
    """The same as `cold_execution`, for a program in CPython."""
    cpython_call_ns: int
    """A call's way from Python to the syscall and back."""
    cpython_lock_ns: int
    """Dropping or taking the interpreter lock uncontended."""
    cpython_message_ns: int
    """The same as `message`, for a program in CPython."""
    cpython_exception_ns: int
    """Raising and catching one, as EAGAIN does."""
    cpython_ask_ns: int
    """What a program in CPython does to ask the next of many sockets, besides the call."""
    cpython_event_ns: int
    """Making one (descriptor, event) pair of a readiness answer."""
    cpython_thread_start_ns: int
    """What starting a thread costs the interpreter on top."""
    cpython_fork_ns: int
    """What os.fork does besides the kernel's part."""
    cpython_coroutine_switch_ns: int
    """Going from one coroutine to another in CPython."""
    cpython_queue_operation_ns: int
    """Putting an item in or taking it out of a queue in CPython."""
    cpython_condition_wait_ns: int
    """threading.Condition's own part of a wait: it is written in Python."""
    cpython_condition_notify_ns: int
    """Its part of a notify that finds somebody waiting."""
    cpython_uring_sqe_ns: int
    """An SQE in CPython: its object and buffer, and liburing's functions by ctypes."""
    cpython_uring_cqe_ns: int
    """A CQE in CPython: reading it, and finding whose it is."""
    cpython_siginfo_ns: int
    """signal.sigwaitinfo's own part: the set of signals, and the siginfo as an object."""
    cpython_switch_interval_ns: int
    """After so long a thread that waits for the interpreter lock asks for it."""
    greenlet_switch_ns: int
    """Going from one greenlet to another."""
    # --- asyncio
    asyncio_pass_ns: int
    """A pass of the event loop, without epoll_wait and without what it runs."""
    asyncio_handle_ns: int
    """Making, queueing and running a handle, without what it calls."""
    asyncio_resume_ns: int
    """A task's step from one await to the next, with its handle."""
    asyncio_buffer_ns: int
    """A transport's buffer of 256 KiB for a read: mapped, cut to what has come, unmapped."""
    asyncio_stream_ns: int
    """A message's way from the transport to the task: callbacks, the future that it awaits."""
    asyncio_feed_ns: int
    """Feeding a message to a StreamReader and reading it from there."""
    asyncio_write_ns: int
    """Writing to a transport, without sendto."""
    # --- uvloop
    uvloop_pass_ns: int
    """A pass of libuv's loop, without epoll_wait and without what it runs."""
    uvloop_handle_ns: int
    """Making, queueing and running a handle, without what it calls."""
    uvloop_resume_ns: int
    """A task's step from one await to the next, with its handle."""
    uvloop_stream_ns: int
    """A message's way from libuv to the task: callbacks, the future that it awaits."""
    uvloop_write_ns: int
    """Writing to a transport, without write(2)."""
    # --- the host, if a scenario has it make noise
    stolen_length_ns: int
    """Mean of the intervals in which the host runs someone else on the core."""
    stolen_gap_ns: int
    """Mean time between two of them."""
    # --- memory
    thread_memory_bytes: int
    """Kernel stack, task structure and the touched part of the user stack."""
    cpython_thread_memory_bytes: int
    """What a thread of a CPython program keeps in memory."""
    thread_working_set_bytes: int
    """What a thread touches each time it runs, whatever it does."""
    coroutine_memory_bytes: int
    """A coroutine's stack or frame."""
    cpython_coroutine_memory_bytes: int
    """A coroutine's frame in CPython."""
    greenlet_memory_bytes: int
    """A greenlet with its saved piece of the stack."""
    asyncio_task_memory_bytes: int
    """A task with its coroutines, stream and transport."""
    goroutine_memory_bytes: int
    """A goroutine's first stack and its descriptor."""
    socket_memory_bytes: int
    """A connection in the kernel."""
    epoll_item_memory_bytes: int
    """A descriptor in an epoll's interest list."""
    poll_entry_memory_bytes: int
    """A descriptor's wait-queue entry for select or poll."""
    io_uring_entry_memory_bytes: int
    """An SQE and the two CQEs that there is room for."""
    process_memory_bytes: int
    """A native process by itself."""
    cpython_process_memory_bytes: int
    """A CPython process by itself."""
    forked_process_memory_bytes: int
    """What a forked process has for itself, kernel stack and page tables included."""
    cpython_forked_process_memory_bytes: int
    """The same for a forked interpreter."""

    # --- the host, as a profile's `host_noise` has measured it: no costs of their own
    stolen_length_quantiles_ns: Table = ()
    """By quantile in parts per million; none: exponential around the mean."""
    stolen_gap_quantiles_ns: Table = ()
    """The same between two of them."""

    epoll_wait_whole_ns: int = field(init=False, repr=False, compare=False)
    recvfrom_whole_ns: int = field(init=False, repr=False, compare=False)
    sendto_whole_ns: int = field(init=False, repr=False, compare=False)
    """With the kernel's entry."""
    _leave_idle: tuple[tuple[int, int, int], ...] = field(init=False, repr=False, compare=False)
    _refill: tuple[int, ...] = field(init=False, repr=False, compare=False)
    moved_step: int = field(init=False, repr=False, compare=False)
    """The step for data that another core's caches hold."""
    connection_refill_ns: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """`refill` of `connection_bytes`, by distance in steps of 16 KiB; the last for more."""

    def __post_init__(self) -> None:
        steps = tuple(
            self._leave_after((step << IDLE_STEP_BITS) + (1 << (IDLE_STEP_BITS - 1)))
            for step in range(IDLE_STEPS)
        )
        object.__setattr__(self, "_leave_idle", steps)
        for call in ("epoll_wait", "recvfrom", "sendto"):
            whole_ns = self.syscall_ns + getattr(self, f"{call}_ns")
            object.__setattr__(self, f"{call}_whole_ns", whole_ns)
        # In the middle of each step, and last of all far beyond the cache.
        per_kib_ns = [
            interpolate(
                self.cache_refill_per_kib_ns,
                (step << REFILL_STEP_BITS) + (1 << (REFILL_STEP_BITS - 1)),
            )
            for step in (*range(REFILL_STEPS), 1 << 40)
        ]
        object.__setattr__(self, "_refill", tuple(per_kib_ns))
        moved_step = min(self.cache_bytes >> REFILL_STEP_BITS, REFILL_STEPS)
        object.__setattr__(self, "moved_step", moved_step)
        size = self.connection_bytes
        connection_refill_ns = tuple(ns * size >> 10 for ns in per_kib_ns)
        object.__setattr__(self, "connection_refill_ns", connection_refill_ns)

    def to_data(self) -> dict[str, Any]:
        """Every cost by its field, as plain data; `Costs.from_data` reads it."""
        costs = ((cost.name, getattr(self, cost.name)) for cost in fields(self) if cost.init)
        return {
            name: [list(point) for point in cost] if isinstance(cost, tuple) else cost
            for name, cost in costs
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Costs":
        """Costs from `to_data`, or from the JSON of it. Raises TypeError for one that lacks."""
        costs: dict[str, Any] = {
            name: tuple((x, y) for x, y in cost) if isinstance(cost, list) else cost
            for name, cost in data.items()
        }
        return cls(**costs)

    def leave_idle(self, idle_ns: int) -> tuple[int, int, int]:
        """(latency, CPU charged out of it, cold execution on top) after `idle_ns` idle."""
        step = idle_ns >> IDLE_STEP_BITS
        return self._leave_idle[step] if step < IDLE_STEPS else self._leave_after(idle_ns)

    def _leave_after(self, idle_ns: int) -> tuple[int, int, int]:
        latency_ns = interpolate(self.idle_exit_ns, idle_ns)
        return (
            latency_ns,
            # A part of the latency: not more than all of it, whatever has been changed.
            min(latency_ns, interpolate(self.idle_exit_charged_ns, idle_ns)),
            interpolate(self.cold_execution_ns, idle_ns),
        )

    def refill(self, distance_bytes: int, size_bytes: int) -> int:
        """Ns to fetch `size_bytes` again after `distance_bytes` of other data."""
        step = max(0, distance_bytes) >> REFILL_STEP_BITS
        return self._refill[step if step < REFILL_STEPS else -1] * size_bytes >> 10

    def file_copy(self, size_bytes: int) -> int:
        """Ns to copy an access of `size_bytes` from or to the page cache."""
        return interpolate(self.file_copy_per_kib_ns, size_bytes) * size_bytes >> 10

    def descriptor_scan(self, descriptors: int) -> int:
        """Ns for one pass of select or poll over so many descriptors."""
        return descriptors * interpolate(self.poll_per_descriptor_ns, descriptors)
