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
from dataclasses import dataclass, field

Table = tuple[tuple[int, int], ...]

IDLE_STEP_BITS = 10
IDLE_STEPS = 4096
"""`leave_idle` is tabulated in steps of 2**10 ns, up to 4.2 ms."""

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


@dataclass(frozen=True)
class Costs:
    """Costs in ns (fields `_ns`), sizes in bytes (`_bytes`), tables of them.

    Syscall fields exclude `syscall_ns`, which each syscall pays on top.
    """

    # --- the kernel's entry
    syscall_ns: int
    # --- threads and cores
    context_switch_ns: int
    idle_exit_ns: Table
    """Latency of a wake-up by how long the core had idled."""
    idle_exit_charged_ns: Table
    """The part of that latency that counts as CPU time of the woken thread."""
    cold_execution_ns: Table
    """Extra CPU time of the woken thread, by how long the core had idled."""
    cache_refill_per_kib_ns: Table
    """Refetching a KiB, by the bytes touched on the core since it was last used."""
    cache_bytes: int
    """Reuse distance beyond which nothing is left in any cache."""
    wake_up_ns: int
    """What waking a thread costs the waker."""
    wake_up_idle_core_ns: int
    """What it costs the waker on top if the thread's core is idle: an interrupt to it."""
    thread_create_ns: int
    thread_exit_ns: int
    # --- sockets
    accept4_ns: int
    connect_ns: int
    close_ns: int
    recvfrom_ns: int
    recvfrom_eagain_ns: int
    recvfrom_per_kib_ns: int
    sendto_ns: int
    sendto_per_kib_ns: int
    receive_softirq_ns: int
    """The receiver's side of a message: on loopback the sender's core pays it."""
    connection_bytes: int
    """What serving a connection touches in the kernel and the program."""
    # --- readiness
    poll_ns: int
    poll_per_descriptor_ns: Table
    """A descriptor's turn in one pass of select or poll, by the descriptors scanned."""
    poll_register_ns: int
    """Joining (and leaving) one descriptor's wait queue, in a pass that may block."""
    poll_answer_ns: int
    """The program's own look at one descriptor in the answer."""
    epoll_create1_ns: int
    epoll_wait_ns: int
    epoll_wait_per_event_ns: int
    epoll_ctl_add_ns: int
    epoll_ctl_mod_ns: int
    epoll_ctl_del_ns: int
    # --- synchronization, signals, timers
    lock_ns: int
    """An uncontended lock or unlock in user space."""
    condition_wait_ns: int
    """What waiting on a condition variable does in user space before it lets its mutex go."""
    futex_ns: int
    """futex(2) to wait or to wake, without the wake-up itself."""
    eventfd_read_ns: int
    eventfd_write_ns: int
    signal_send_ns: int
    signal_deliver_ns: int
    sigreturn_ns: int
    sigprocmask_ns: int
    timer_set_ns: int
    timer_slack_ns: int
    """How late a sleeping thread's timer may fire, so as to share an interrupt."""
    # --- user space
    coroutine_switch_ns: int
    queue_operation_ns: int
    """Putting an item in or taking it out of a queue in user space."""
    # --- CPython
    cpython_call_ns: int
    """A call's way from Python to the syscall and back."""
    cpython_lock_ns: int
    """Dropping or taking the interpreter lock uncontended."""
    cpython_exception_ns: int
    """Raising and catching one, as EAGAIN does."""
    cpython_event_ns: int
    """Making one (descriptor, event) pair of a readiness answer."""
    cpython_thread_start_ns: int
    cpython_coroutine_switch_ns: int
    cpython_queue_operation_ns: int
    cpython_switch_interval_ns: int
    """After so long a thread that waits for the interpreter lock asks for it."""
    # --- memory
    thread_memory_bytes: int
    """Kernel stack, task structure and the touched part of the user stack."""
    cpython_thread_memory_bytes: int
    thread_working_set_bytes: int
    """What a thread touches each time it runs, whatever it does."""
    coroutine_memory_bytes: int
    cpython_coroutine_memory_bytes: int
    socket_memory_bytes: int
    epoll_item_memory_bytes: int
    poll_entry_memory_bytes: int
    process_memory_bytes: int
    cpython_process_memory_bytes: int

    epoll_wait_whole_ns: int = field(init=False, repr=False, compare=False)
    recvfrom_whole_ns: int = field(init=False, repr=False, compare=False)
    sendto_whole_ns: int = field(init=False, repr=False, compare=False)
    """With the kernel's entry."""
    _leave_idle: tuple[tuple[int, int, int], ...] = field(init=False, repr=False, compare=False)
    _refill: tuple[int, ...] = field(init=False, repr=False, compare=False)
    connection_refill_ns: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """`refill` of `connection_bytes`, by distance in steps of 16 KiB; the last for more."""

    def __post_init__(self) -> None:
        steps = tuple(
            (
                interpolate(self.idle_exit_ns, idle_ns),
                interpolate(self.idle_exit_charged_ns, idle_ns),
                interpolate(self.cold_execution_ns, idle_ns),
            )
            for idle_ns in (
                (step << IDLE_STEP_BITS) + (1 << (IDLE_STEP_BITS - 1)) for step in range(IDLE_STEPS)
            )
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
        size = self.connection_bytes
        connection_refill_ns = tuple(ns * size >> 10 for ns in per_kib_ns)
        object.__setattr__(self, "connection_refill_ns", connection_refill_ns)

    def leave_idle(self, idle_ns: int) -> tuple[int, int, int]:
        """(latency, CPU charged out of it, cold execution on top) after `idle_ns` idle."""
        step = idle_ns >> IDLE_STEP_BITS
        return self._leave_idle[step if step < IDLE_STEPS else -1]

    def refill(self, distance_bytes: int, size_bytes: int) -> int:
        """Ns to fetch `size_bytes` again after `distance_bytes` of other data."""
        step = max(0, distance_bytes) >> REFILL_STEP_BITS
        return self._refill[step if step < REFILL_STEPS else -1] * size_bytes >> 10

    def descriptor_scan(self, descriptors: int) -> int:
        """Ns for one pass of select or poll over so many descriptors."""
        return descriptors * interpolate(self.poll_per_descriptor_ns, descriptors)
