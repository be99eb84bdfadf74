"""The machine's mechanisms, each as something that can be changed by an amount.

A mechanism is a group of costs that are multiplied by one factor together, or the host's noise,
which is added. Every cost in ns belongs to exactly one of them, so that no cost escapes. Each has a
plausible width, so that a factor and a part of the time can be held against each other.

    wake-up            leaving idle, and what waking costs the waker
    preemption         a switch, and the caches that are cold after it
    batching           a look for work: the dearer it is, the more it finds the next time
    scan               descriptors looked at one by one
    lock               mutexes, conditions, the interpreter lock
    softirq            receiving packets
    syscalls           the kernel's entry, and every other call
    user-space work    the program's and its runtime's own
    noise              the host takes the core away

Scope: costs. A rule, such as who preempts whom, has no amount; where none of these explains an
error, a rule is what is left.
Validated by: tests/validation/test_mechanisms.py
"""

from dataclasses import dataclass
from math import exp, log
from typing import Protocol

from iosim.calibration.solving import MACHINES
from iosim.profile import Profile, with_costs
from iosim.real.disturbance import STOLEN_MOST
from iosim.scenario import Scenario, from_data

MOST = 4.0
"""A factor beyond this, or its inverse, would be no explanation."""


class Mechanism(Protocol):
    """Something that can be changed by an amount; 0 leaves it alone."""

    @property
    def name(self) -> str: ...

    @property
    def probe(self) -> float:
        """An amount that shows what it does."""

    @property
    def least(self) -> float: ...

    @property
    def most(self) -> float: ...

    @property
    def width(self) -> float:
        """A plausible amount: explanations are compared by how many of these they ask for."""

    def changed(
        self, scenario: Scenario, profile: Profile, amount: float
    ) -> tuple[Scenario, Profile]:
        """Scenario and profile with the mechanism changed."""

    def told(self, amount: float) -> str:
        """The change in words."""


@dataclass(frozen=True)
class Group:
    """Costs under one factor; the amount is its logarithm."""

    name: str
    costs: tuple[str, ...]
    probe: float = log(1.5)
    least: float = -log(MOST)
    most: float = log(MOST)
    width: float = MACHINES

    def changed(
        self, scenario: Scenario, profile: Profile, amount: float
    ) -> tuple[Scenario, Profile]:
        """All its costs times e to the `amount`."""
        factor = f"x{exp(amount):.6f}"
        return scenario, with_costs(profile, dict.fromkeys(self.costs, factor))

    def told(self, amount: float) -> str:
        """As `wake-up x1.4`."""
        return f"{self.name} x{exp(amount):.2g}"


@dataclass(frozen=True)
class Noise:
    """The host takes each core away now and then; the amount is the part of the time."""

    name: str = "noise"
    probe: float = 0.02
    least: float = 0.0
    most: float = 0.2
    width: float = STOLEN_MOST
    """What the host may take from a real run that is accepted as undisturbed."""

    def changed(
        self, scenario: Scenario, profile: Profile, amount: float
    ) -> tuple[Scenario, Profile]:
        """The host takes this part of each core, in pieces of the profile's length."""
        if amount <= 0:
            return scenario, profile
        length_ns = profile.costs.stolen_length_ns
        gap_ns = round(length_ns * (1 - amount) / amount)
        stolen = {
            "length": {"exponential": f"{length_ns}ns"},
            "gap": {"exponential": f"{gap_ns}ns"},
        }
        data = scenario.to_data()
        data["machine"]["host_noise"] = {
            **(data["machine"]["host_noise"] or {}),
            "stolen": stolen,
        }
        return from_data(data, force=True, folder=scenario.folder), profile

    def told(self, amount: float) -> str:
        """As `noise: the host takes 3%`."""
        return f"{self.name}: the host takes {100 * amount:.2g}%"


GROUPS: tuple[Group, ...] = (
    Group(
        "wake-up",
        (
            "idle_exit",
            "idle_exit_charged",
            "cold_execution",
            "cpython_cold_execution",
            "wake_up",
            "wake_up_idle_core",
        ),
    ),
    Group("preemption", ("context_switch", "cache_refill_per_kib")),
    Group(
        "batching",
        (
            "epoll_wait",
            "epoll_wait_per_event",
            "poll",
            "io_uring_enter",
            "io_uring_fill",
            "io_uring_per_sqe",
            "io_uring_per_cqe",
            "io_uring_poll_arm",
            "io_uring_sqpoll_round",
            "asyncio_pass",
            "uvloop_pass",
        ),
    ),
    Group("scan", ("poll_per_descriptor", "poll_register", "poll_answer")),
    Group(
        "lock",
        (
            "lock",
            "condition_wait",
            "futex",
            "eventfd_read",
            "eventfd_write",
            "cpython_lock",
            "cpython_condition_wait",
            "cpython_condition_notify",
            "cpython_switch_interval",
        ),
    ),
    Group("softirq", ("receive_softirq", "interrupt", "block_interrupt")),
    Group(
        "syscalls",
        (
            "syscall",
            "thread_create",
            "thread_exit",
            "fork",
            "accept4",
            "connect",
            "close",
            "recvfrom",
            "recvfrom_eagain",
            "recvfrom_per_kib",
            "sendto",
            "sendto_per_kib",
            "pread64",
            "pwrite64",
            "fsync",
            "file_copy_per_kib",
            "block_submit",
            "epoll_create1",
            "epoll_ctl_add",
            "epoll_ctl_mod",
            "epoll_ctl_del",
            "io_uring_setup",
            "signal_send",
            "signal_deliver",
            "sigreturn",
            "sigprocmask",
            "fcntl",
            "sigtimedwait",
            "signal_take",
            "timer_set",
            "timer_slack",
        ),
    ),
    Group(
        "user-space work",
        (
            "message",
            "cpython_message",
            "getaddrinfo",
            "coroutine_switch",
            "coroutine_longjmp",
            "queue_operation",
            "goroutine_switch",
            "goroutine_create",
            "goroutine_syscall",
            "processor_look",
            "cpython_call",
            "cpython_exception",
            "cpython_event",
            "cpython_thread_start",
            "cpython_fork",
            "cpython_coroutine_switch",
            "cpython_queue_operation",
            "cpython_ask",
            "cpython_uring_sqe",
            "cpython_uring_cqe",
            "cpython_siginfo",
            "greenlet_switch",
            "asyncio_handle",
            "asyncio_resume",
            "asyncio_buffer",
            "asyncio_stream",
            "asyncio_feed",
            "asyncio_write",
            "uvloop_handle",
            "uvloop_resume",
            "uvloop_stream",
            "uvloop_write",
        ),
    ),
)

ALL: tuple[Mechanism, ...] = (*GROUPS, Noise())
