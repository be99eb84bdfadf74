"""Syscalls by name: of a server under load, counted from outside.

    perf stat   the kernel's tracepoints, a counter for each syscall: exact, and it hardly slows
                the server down; needs root or CAP_PERFMON
    strace -c   stops the server at each call: counts are exact, but a slower server finds more
                done when it looks, so those per request are lower than at full speed

What it does: counts while the load is on, for a time, and says from when to when; the caller
knows how many requests were answered meanwhile. perf is attached before the load begins, strace
when its turn comes. Nothing is asked of the server then, so that
its control thread makes no call.

A call is named as the simulator names it: pselect6 is select, clock_nanosleep is nanosleep.

Scope: threads and processes of the server that there are, and those they start.
Not done: calls made by io_uring itself, which are none.
Source: perf-stat(1), strace(1).
Validated by: tests/real/test_syscalls.py
"""

import os
import resource
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from iosim.real.processes import family

NAMED_OTHERWISE: Final = {
    "accept": "accept4",
    "clock_nanosleep": "nanosleep",
    "epoll_pwait": "epoll_wait",
    "epoll_pwait2": "epoll_wait",
    "poll": "poll",
    "ppoll": "poll",
    "preadv": "pread64",
    "pselect6": "select",
    "pselect6_time64": "select",
    "_newselect": "select",
    "recv": "recvfrom",
    "send": "sendto",
}
"""What the kernel and the C library call otherwise."""

COUNTED: Final = (
    *("accept", "accept4", "bind", "clone", "clone3", "close", "connect", "epoll_create1"),
    *(
        "epoll_ctl",
        "epoll_pwait",
        "epoll_pwait2",
        "epoll_wait",
        "eventfd2",
        "exit",
        "fcntl",
        "gettid",
    ),
    *(
        "fsync",
        "futex",
        "getpeername",
        "getpid",
        "getsockname",
        "getuid",
        "io_uring_enter",
        "io_uring_setup",
        "ioctl",
    ),
    *("listen", "madvise", "mmap", "mprotect", "mremap", "munmap", "nanosleep"),
    *(
        "clock_nanosleep",
        "pause",
        "poll",
        "ppoll",
        "pread64",
        "pselect6",
        "pwrite64",
        "read",
        "recvfrom",
        "recvmsg",
    ),
    *(
        "restart_syscall",
        "rseq",
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigqueueinfo",
        "rt_sigreturn",
    ),
    *("rt_sigsuspend", "rt_sigtimedwait", "sched_yield", "select", "sendmsg", "sendto"),
    *("set_robust_list", "setsockopt", "shutdown", "socket", "tgkill", "timer_settime"),
    *("timerfd_settime", "write"),
)
"""What a server may call; anything else is counted together, as `other`."""

ALL: Final = "raw_syscalls:sys_enter"
OTHER: Final = "other"
STRACE_THREADS: Final = 500
"""Of more, strace takes too long to attach."""
ATTACH_S: Final = 5
WRITE_S: Final = 60
"""Writing what has been found may take so long."""
SPARE_DESCRIPTORS: Final = 100
NS_PER_S: Final = 1_000_000_000


class Unavailable(Exception):
    """Syscalls cannot be counted here; why."""


class NothingCounted(Unavailable):
    """A tool that can count them has not, this time."""


@dataclass(frozen=True)
class Counted:
    """How many calls, by name, from when to when of CLOCK_MONOTONIC; and what counted them."""

    calls: dict[str, int]
    begin_ns: int
    end_ns: int
    by: str


Watch = Callable[[int], Counted]
"""Counts up to an instant of CLOCK_MONOTONIC. Raises Unavailable."""


@contextmanager
def counter(pid: int) -> Iterator[Watch]:
    """Make ready to count the syscalls of a server that has no load yet.

    Raises Unavailable.
    """
    pids = family(pid)
    threads = sum(_threads(each) for each in pids)
    with ExitStack() as stack:
        try:
            watch = stack.enter_context(_perf(pids, threads))
        except Unavailable as reason:
            watch = partial(_by_strace, pids, threads, str(reason))
        yield watch


def _threads(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task"))
    return 0


# ---------------------------------------------------------------------------- perf


@contextmanager
def _perf(pids: Sequence[int], threads: int) -> Iterator[Watch]:
    """Attach perf, its counters off."""
    events = [f"syscalls:sys_enter_{name}" for name in COUNTED if name in known_to_perf()]
    if not events:
        raise Unavailable("perf: it has no tracepoints here (they need root)")
    events.append(ALL)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if threads * len(events) > most - SPARE_DESCRIPTORS:
        raise Unavailable(f"perf: {threads:,} threads are too many for {most:,} descriptors")
    with TemporaryDirectory(prefix="iosim-") as folder, ExitStack() as stack:
        told = Path(folder, "counts")
        # A group is switched on and off at once.
        group = "{" + ",".join(events) + "}"
        command = ["stat", "-x,", "-o", str(told), "-p", ",".join(map(str, pids)), "-e", group]
        work = stack.enter_context(perf_at_rest(command))

        def watch(until_ns: int) -> Counted:
            begin_ns, end_ns = work(until_ns)
            calls = read_perf(told.read_text())
            if not calls:  # now and then, with many threads: who serves makes calls
                raise NothingCounted("perf: it counted nothing")
            return Counted(calls, begin_ns, end_ns, "perf")

        yield watch


@contextmanager
def perf_at_rest(
    command: Sequence[str], cpus: Collection[int] = ()
) -> Iterator[Callable[[int], tuple[int, int]]]:
    """`perf stat` or `record`, ready and doing nothing yet; what is given lets it work.

    cpus: where perf itself may run, if not everywhere. What is given is called with an instant
    of CLOCK_MONOTONIC, up to which perf works, and gives back from when to when it did; by then
    it has written what it found. Raises Unavailable, as does this.
    """
    with ExitStack() as stack:
        control = _Pipe(stack), _Pipe(stack)  # what to do; that it is done
        ends = control[0].reader, control[1].writer
        at_rest = ("-D", "-1", "--control", f"fd:{ends[0]},{ends[1]}")
        process = stack.enter_context(started([*perf(), *command, *at_rest], ends))
        if cpus:
            os.sched_setaffinity(process.pid, cpus)
        control[1].close_writer()
        _ask("ping", control, process)

        def work(until_ns: int) -> tuple[int, int]:
            begin_ns = _ask("enable", control, process)
            time.sleep(max(0, until_ns - begin_ns) / NS_PER_S)
            end_ns = _ask("disable", control, process)
            process.send_signal(signal.SIGINT)  # it tells
            finish(process, WRITE_S)
            return begin_ns, end_ns

        yield work


class _Pipe:
    """pipe(2), its ends closed with `stack`."""

    def __init__(self, stack: ExitStack) -> None:
        self.reader, self.writer = os.pipe()
        stack.callback(os.close, self.reader)
        self._closing = stack.enter_context(ExitStack())
        self._closing.callback(os.close, self.writer)

    def close_writer(self) -> None:
        """Only the other process has it now: when that ends, the pipe does."""
        self._closing.close()


def _ask(what: str, control: "tuple[_Pipe, _Pipe]", process: "subprocess.Popen[str]") -> int:
    """Have perf do something; when it did, as the middle between asking and answer."""
    asked_ns = time.monotonic_ns()
    os.write(control[0].writer, f"{what}\n".encode())
    reader = control[1].reader
    if not select.select([reader], [], [], ATTACH_S)[0]:
        raise Unavailable(f"perf: it did not answer in {ATTACH_S} s")
    if not os.read(reader, 100):
        _, err = finish(process, ATTACH_S)
        told = [line for line in err.splitlines() if "returned with" in line or "rror" in line]
        raise Unavailable(f"perf: {told[-1] if told else 'it fails'}")
    return (asked_ns + time.monotonic_ns()) // 2


def perf() -> list[str]:
    """The command, with a mount namespace of its own where that is possible.

    perf mounts tracefs when it is not, and would leave it there.
    """
    return [*(["unshare", "-m"] if _may_unshare() else []), "perf"]


@cache
def _may_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return run_tool(["unshare", "-m", "true"], ATTACH_S).returncode == 0


@cache
def known_to_perf() -> frozenset[str]:
    """The syscalls that perf has a tracepoint for; none where it may not count them."""
    if shutil.which("perf") is None:
        raise Unavailable("perf is not installed")
    listed = run_tool([*perf(), "list", "syscalls:sys_enter_*"], ATTACH_S).stdout
    words = (line.split()[0] for line in listed.splitlines() if line.split())
    return frozenset(
        word.removeprefix("syscalls:sys_enter_") for word in words if word.startswith("syscalls:")
    )


def read_perf(text: str) -> dict[str, int]:
    """Counts by name from `perf stat -x,`; a thread that never ran is `<not counted>`."""
    total, found = 0, []
    for line in text.splitlines():
        words = line.split(",")
        if len(words) < 3 or ":" not in words[2]:
            continue
        number = int(words[0]) if words[0].isdigit() else 0
        if words[2] == ALL:
            total = number
        else:
            found.append((words[2].rpartition("sys_enter_")[2], number))
    # The counters are read one after the other: a few calls may be in one and not in the other.
    found.append((OTHER, max(0, total - sum(number for _, number in found))))
    return summed(found)


# -------------------------------------------------------------------------- strace


def _by_strace(pids: Sequence[int], threads: int, without: str, until_ns: int) -> Counted:
    """Let strace count, as it is `without` something better."""
    if shutil.which("strace") is None:
        raise Unavailable(f"{without}; strace is not installed")
    if threads > STRACE_THREADS:
        raise Unavailable(f"{without}; strace: {threads:,} threads are too many")
    with TemporaryDirectory(prefix="iosim-") as folder:
        told = Path(folder, "counts")
        attach = [word for pid in pids for word in ("-p", str(pid))]
        with started(["strace", "-c", "-f", "-o", str(told), *attach]) as process:
            assert process.stderr is not None
            for _ in pids:
                if not select.select([process.stderr], [], [], ATTACH_S)[0]:
                    raise Unavailable(f"strace: it could not attach in {ATTACH_S} s")
                line = process.stderr.readline().strip()
                if "attached" not in line:
                    raise Unavailable(line or "strace: it fails")
            begin_ns = time.monotonic_ns()
            if begin_ns >= until_ns:
                raise Unavailable("strace: the load was over too soon")
            time.sleep((until_ns - begin_ns) / NS_PER_S)
            end_ns = time.monotonic_ns()
            process.send_signal(signal.SIGINT)  # it lets go, and tells
            finish(process, ATTACH_S)
        return Counted(read_strace(told.read_text()), begin_ns, end_ns, "strace")


def read_strace(text: str) -> dict[str, int]:
    """Counts by name from the table of `strace -c`."""
    found = []
    inside = False
    for line in text.splitlines():
        if line.startswith("---"):
            inside = not inside
            continue
        words = line.split()
        # % time, seconds, usecs/call, calls, errors (may be empty), syscall
        if inside and len(words) in (5, 6):
            found.append((words[-1], int(words[3])))
    return summed(found)


# --------------------------------------------------------------------------- both


def summed(found: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Counts by the simulator's names, without those that are zero."""
    calls: dict[str, int] = {}
    for name, number in found:
        if number:
            called = NAMED_OTHERWISE.get(name, name)
            calls[called] = calls.get(called, 0) + number
    return dict(sorted(calls.items()))


@contextmanager
def started(
    command: Sequence[str], descriptors: Sequence[int] = ()
) -> "Iterator[subprocess.Popen[str]]":
    """A tool that runs, and that is gone afterwards with all that it has started.

    Raises Unavailable.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=descriptors,
        )
    except OSError as error:
        raise Unavailable(f"{command[0]}: {error.strerror}") from error
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def finish(process: "subprocess.Popen[str]", limit_s: float) -> tuple[str, str]:
    """What a tool has written, once it has ended. Raises Unavailable."""
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"a tool did not end in {limit_s:g} s") from None
    return out, err


def run_tool(command: Sequence[str], limit_s: float) -> "subprocess.CompletedProcess[str]":
    """Run a tool to its end. Raises Unavailable."""
    with started(command) as process:
        out, err = finish(process, limit_s)
    return subprocess.CompletedProcess(command, process.returncode, out, err)
