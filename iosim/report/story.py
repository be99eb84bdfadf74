"""A moment of a run told line by line: who ran where, what it cost, why it waited.

Times count from the first request's intended send time. Pieces of work that follow each
other for the same reason are one line. At the end stand the sums that a report shows as
means: switches, syscalls, CPU time, and where each response went.

Scope: the words are for the kernel's own labels; a plug-in's labels stand for themselves.
Validated by: tests/cli/test_explain_command.py
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap
from types import MappingProxyType, ModuleType
from typing import Final

from iosim.report.layout import WIDTH, Style, paragraph
from iosim.report.timeline import Event, Life, Moment, Span
from iosim.units import format_duration_ns

MOST_LINES: Final = 150
"""A moment with more lines is shown from its start."""

SAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "EAGAIN": "asks socket after socket, in vain",
        "Thread.start": "Python prepares a thread",
        "a handle": "queues and runs a callback",
        "mmap": "maps a buffer to read into, cuts it to what has come, and unmaps it",
        "a pass of the loop": "the loop begins a pass",
        "accept": "takes a new connection",
        "accept4": "takes a new connection",
        "arm a poll": "has arrivals, or room, tell the ring",
        "bind": "gives the listener its port",
        "cache refill": "its data comes back to the cache",
        "call": "goes from Python to C",
        "clone": "forks a process",
        "clone3": "starts a thread",
        "close": "closes a descriptor",
        "cold execution": "runs cold after the core's sleep",
        "completions": "makes Python objects of completions",
        "SQE": "makes an SQE by calls of liburing, in Python",
        "notify": "Python looks whom to notify",
        "siginfo": "makes a Python object of the signal",
        "transport and protocol": "asyncio's callbacks take the message to its stream",
        "compute": "works on the request",
        "connect": "opens a connection",
        "connection refill": "the connection's data comes to the cache",
        "consume": "uses the item",
        "context switch": "the core switches to it",
        "message": "finds whose the message is, and what to answer",
        "coroutine switch": "resumes a coroutine, in user space",
        "create a kernel thread": "starts a thread of the kernel",
        "enter and leave a syscall": "the runtime notes a syscall",
        "epoll_create1": "makes an epoll instance",
        "epoll_ctl": "tells the kernel what to watch",
        "epoll_wait": "asks for the ready list",
        "eventfd2": "makes an eventfd",
        "events": "makes Python objects of events",
        "exception": "raises BlockingIOError",
        "exit": "ends",
        "fcntl": "asks for a signal at each arrival",
        "feed the stream": "moves it through the stream's buffer",
        "fill an SQE": "writes down what it wants, in shared memory",
        "fsync": "has what was written put on the device",
        "from libuv to the protocol": "libuv's callbacks take the message to its stream",
        "futex": "enters the kernel for a lock",
        "getaddrinfo": "looks for the name in files",
        "getpeername": "asks who the client is",
        "getpid": "asks who it is, to say so in a signal",
        "getsockname": "asks which of its addresses the client has called",
        "getuid": "asks whose it is, to say so in a signal",
        "go statement": "makes a goroutine",
        "host": "runs someone else on this core",
        "idle exit": "the rest of that latency, charged to it",
        "interpreter lock": "the interpreter lock",
        "interrupt": "softirq: takes in a packet",
        "io_uring_enter": "hands over what is filled, or waits",
        "io_uring_setup": "makes the rings",
        "issue an SQE": "the kernel takes one up",
        "listen": "opens the listener",
        "lock": "takes a lock, in user space",
        "look at a processor": "looks after another thread's processor",
        "look for SQEs": "asks the ring, in vain",
        "look for work": "looks at another thread's queue",
        "nanosleep": "sleeps for a time",
        "os.fork": "Python prepares a process",
        "own work": "does the server's own work",
        "pause": "sleeps until a signal comes",
        "poll": "looks at every descriptor",
        "post CQEs": "says in the ring what is done",
        "pread64": "reads a file",
        "produce": "makes an item",
        "pwrite64": "writes into the page cache",
        "queue": "moves an entry of a queue",
        "read": "reads what has arrived, or resets an eventfd",
        "receive softirq": "loopback delivers it",
        "recv": "reads what has arrived",
        "recvfrom": "reads what has arrived",
        "rt_sigaction": "says what handles a signal",
        "rt_sigprocmask": "holds signals back",
        "rt_sigqueueinfo": "sends a signal",
        "rt_sigreturn": "returns from the handler",
        "rt_sigtimedwait": "takes a signal from the queue",
        "scan the answer": "looks through the answer",
        "select": "looks at every descriptor",
        "send": "sends",
        "sendto": "sends",
        "setsockopt": "sets how a socket behaves",
        "signal": "tells who waits that something is there",
        "signal delivery": "a signal: enters the handler",
        "socket": "makes a socket",
        "timeout": "has the ring tell when a time is over",
        "tgkill": "sends a signal",
        "timer_settime": "sets a timer",
        "unlock": "gives a lock back",
        "wait": "goes to wait for a condition",
        "wake": "wakes who waits at the ring",
        "wake a worker": "wakes a thread of the kernel",
        "write": "sends, or wakes the loop through an eventfd",
        "write to the transport": "hands it to the transport",
    }
)


SHORT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "EAGAIN": "asking in vain",
        "cache refill": "refill",
        "cold execution": "cold start",
        "connection refill": "refill",
        "context switch": "switch",
        "receive softirq": "softirq",
    }
)
"""Labels where several stand in one line."""


def built_in(model: ModuleType) -> Path:
    """The scenario in which an I/O model is explained if no other is given."""
    serves = getattr(model, "SERVES", "requests")
    return Path(__file__).with_name(f"explain_{serves}.yaml")


@dataclass(frozen=True)
class Step:
    """What happened at an instant; `ns` is how long it took, None if no time passed."""

    at_ns: int
    order: int
    who: str
    core: int | None
    text: str
    ns: int | None = None
    about: bool = False
    """It tells of a request and not of a thread."""


def tell(moment: Moment, style: Style) -> str:
    """The moment as text, at most 80 columns wide."""
    sums = [line for sentence in sums_of(moment) for line in paragraph(sentence)]
    parts = [
        "\n".join(_head(moment, style)),
        "\n".join(_shown(moment, steps(moment), style)),
        "\n".join([style.strong("In all"), *sums]),
    ]
    return "\n\n".join(parts) + "\n"


def steps(moment: Moment) -> list[Step]:
    """All that happens in it, in the order of time."""
    return sorted(_lines(moment), key=lambda step: (step.at_ns, step.order))


def _head(moment: Moment, style: Style) -> list[str]:
    lives = moment.lives
    if len(lives) == 1:
        what = f"{moment.model}: the life of {moment.noun} {lives[0].number}"
    else:
        numbers = ", ".join(str(life.number) for life in lives)
        what = f"{moment.model}: {len(lives)} {moment.noun}s that come together ({numbers})"
    others = f"; {moment.in_flight} others were under way" if moment.in_flight else ""
    cores = "1 core" if moment.cores == 1 else f"{moment.cores} cores"
    took = format_duration_ns(moment.to_ns - moment.from_ns)
    return [style.strong(what), f"a simulated run on {cores}, seen for {took}{others}"]


# ------------------------------------------------------------------------------- the lines


def _lines(moment: Moment) -> Iterator[Step]:
    detailed = len(moment.lives) == 1
    yield from _of_spans(moment) if detailed else _of_turns(moment)
    paused = {}
    for event in moment.events:
        if event.what == "paused":
            paused[event.request] = event.at_ns
    for event in moment.events:
        if event.what == "begun" and not detailed:
            continue  # told with the work
        if (line := _of_event(event, moment, paused)) is not None:
            yield line
    for life in moment.lives:
        noun = moment.noun
        if noun == "request":
            yield Step(
                life.intended_ns, 0, f"#{life.number}", None, "is meant to be sent", None, True
            )
            took = format_duration_ns(life.answered_ns - life.intended_ns)
            text = f"has its answer: {took} in all"
            yield Step(life.answered_ns, 9, f"#{life.number}", None, text, None, True)


def _of_spans(moment: Moment) -> Iterator[Step]:
    """One line for each run of pieces with the same label."""
    falls_asleep = {(e.thread, e.at_ns) for e in moment.events if e.what == "slept"}
    for span in _merged(moment.spans):
        says = SAYS.get(span.label, "")
        if span.cause == "syscall" and (span.thread, span.to_ns) in falls_asleep:
            says = "has to wait"
        elif span.cause == "spin":
            says = f"{says} ({span.calls:,} times)"
        text = span.label if not says else f"{span.label}: {says}"
        if span.cause in {"switch", "refill"} or span.label == "interrupt":
            text = says or span.label
        yield Step(span.from_ns, 5, _who(span), span.core, text, span.to_ns - span.from_ns)


def _who(span: Span) -> str:
    """Whose time it was."""
    return span.thread or ("(host)" if span.cause == "stolen" else "(interrupt)")


BOUNDARIES: Final = frozenset({"slept", "woke", "dispatched", "preempted", "begun", "paused"})


def _of_turns(moment: Moment) -> Iterator[Step]:
    """One line for all that a thread does between two of its events."""
    boundaries: dict[str, list[Event]] = {}
    for event in moment.events:
        if event.what in BOUNDARIES:
            boundaries.setdefault(event.thread, []).append(event)
    turns: dict[tuple[str, int, int], list[Span]] = {}
    for span in _merged(moment.spans):
        own = boundaries.get(span.thread, ())
        passed = sum(event.at_ns <= span.from_ns for event in own)
        turn = passed if span.thread else span.from_ns
        turns.setdefault((span.thread, span.core, turn), []).append(span)
    for (who, core, passed), spans in turns.items():
        did = ", ".join(
            f"{SHORT.get(span.label, span.label)} {(span.to_ns - span.from_ns) / 1000:.2f}"
            for span in spans
        )
        before = boundaries[who][passed - 1] if who in boundaries and passed else None
        if before is not None and before.what == "begun":
            did = f"#{before.request}: {did}"
        ns = sum(span.to_ns - span.from_ns for span in spans)
        yield Step(spans[0].from_ns, 5, _who(spans[0]), core, did, ns)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Pieces in the order of time, those of one call joined."""
    last: dict[int, Span] = {}
    for span in spans:
        before = last.get(span.core)
        if (
            before is not None
            and before.to_ns == span.from_ns
            and (before.thread, before.label, before.cause) == (span.thread, span.label, span.cause)
            and not (span.calls and before.calls and span.cause == "syscall")
        ):
            last[span.core] = replace(before, to_ns=span.to_ns, calls=before.calls + span.calls)
            continue
        if before is not None:
            yield before
        last[span.core] = span
    yield from last.values()


def _of_event(event: Event, moment: Moment, last_paused: Mapping[int | None, int]) -> Step | None:
    at_ns, who, number = event.at_ns, event.thread, f"#{event.request}"
    if event.what == "slept":
        text = f"sleeps in {event.detail}: voluntary"
        return Step(at_ns, 2, who, event.core, text)
    if event.what == "preempted":
        text = f"is preempted by {event.detail}: involuntary"
        return Step(at_ns, 2, who, event.core, text)
    if event.what == "woke":
        slept = format_duration_ns(event.ns)
        return Step(at_ns, 3, who, None, f"wakes after {slept} in {event.detail}")
    if event.what == "dispatched":
        if event.ns == 0:
            return None
        text = "waits for its core to leave idle, uncharged"
        return Step(at_ns, 4, who, event.core, text, event.ns)
    if event.what in {"spawned", "ended"}:
        text = "is started" if event.what == "spawned" else "ends"
        return Step(at_ns, 3, who, event.core, text)
    if event.what == "delivered":
        where = "has been made"
        if moment.noun == "request":
            where = "is in the server's socket: sent, and taken in by softirq"
        return Step(at_ns, 1, number, None, where, None, True)
    if event.what == "resumable":
        return Step(at_ns, 1, number, None, "what it waited for is there", None, True)
    if event.what == "begun":
        return Step(at_ns, 4, number, None, f"is taken up by {who}", None, True)
    if event.what == "paused":
        if at_ns != last_paused[event.request]:
            text = f"waits; {who} leaves it"
        elif moment.noun == "request":
            text = "its answer leaves the server"
        else:
            text = f"has been used by {who}"
        return Step(at_ns, 1, number, None, text, None, True)
    return None


def _shown(moment: Moment, lines: list[Step], style: Style) -> Iterator[str]:
    width = min(18, max([len(line.who) for line in lines], default=0))
    yield style.faint(f"{'at us':>8} {'for us':>7} core {'who':{width}} what")
    for line in lines[:MOST_LINES]:
        at = f"{(line.at_ns - moment.from_ns) / 1000:,.2f}"
        took = "" if line.ns is None else f"{line.ns / 1000:,.2f}"
        core = "" if line.core is None else str(line.core)
        start = f"{at:>8} {took:>7} {core:>4} {line.who[:width]:{width}} "
        for text in wrap(start + line.text, WIDTH, subsequent_indent=" " * len(start)):
            yield style.strong(text) if line.about else text
    if len(lines) > MOST_LINES:
        yield style.faint(f"... and {len(lines) - MOST_LINES} more steps")


# -------------------------------------------------------------------------------- the sums


def sums_of(moment: Moment) -> Iterator[str]:
    """What a report shows as means, for this moment: a sentence each."""
    count = len(moment.lives)
    each = f" for {count} {moment.noun}s" if count > 1 else ""
    voluntary, involuntary = moment.count("slept"), moment.count("preempted")
    text = f"Context switches{each}: {voluntary} voluntary, {involuntary} involuntary"
    if count > 1:
        text += f"; {(voluntary + involuntary) / count:.2f} for each"
    yield f"{text}."
    calls = [f"{name} {number:,}" for name, number in moment.syscalls().items()]
    yield f"Syscalls: {', '.join(calls) or 'none'}."
    exits_ns = moment.exits_ns()
    busy = [
        f"{cause} {format_duration_ns(ns)}"
        + (f" ({format_duration_ns(exits_ns)} of it idle exit)" if cause == "switch" else "")
        for cause, ns in moment.cpu_ns().items()
    ]
    yield f"CPU time: {', '.join(busy)}."
    yield from _others(moment)
    yield from _waking(moment)
    for life in moment.lives:
        yield _parts(life, moment.noun)
    threads = sorted({s.thread for s in moment.spans if s.thread and moment.concerns(s)})
    named = ", ".join(threads[:6]) + (", ..." if len(threads) > 6 else "")
    yield f"Threads that ran: {len(threads)} ({named})."


def _others(moment: Moment) -> Iterator[str]:
    """What of it was done for other requests, too, and what is not in it."""
    pieces: tuple[Span | Event, ...] = (*moment.spans, *moment.events)
    shared = [piece for piece in pieces if moment.shared(piece)]
    if shared:
        yield f"Shared with {_whom(moment, shared)}: {_amount(shared)}."
    alone = [piece for piece in pieces if not moment.concerns(piece)]
    if alone:
        yield (
            f"Not counted, as it was done for others alone ({_whom(moment, alone)}): "
            f"{_amount(alone)}."
        )


def _whom(moment: Moment, pieces: Iterable[Span | Event]) -> str:
    numbers = sorted({number for piece in pieces for number in piece.whose - moment.numbers})
    shown = ", ".join(f"#{number}" for number in numbers[:6])
    return shown + (", ..." if len(numbers) > 6 else "")


def _amount(pieces: Iterable[Span | Event]) -> str:
    """Switches, syscalls and CPU time in a few words."""
    switches = calls = ns = 0
    for piece in pieces:
        if isinstance(piece, Span):
            calls += piece.calls
            ns += piece.to_ns - piece.from_ns
        else:
            switches += piece.what in {"slept", "preempted"}
    return (
        f"{switches:,} context switch{'' if switches == 1 else 'es'}, "
        f"{calls:,} syscall{'' if calls == 1 else 's'}, {format_duration_ns(ns)} of CPU time"
    )


def _waking(moment: Moment) -> Iterator[str]:
    """Why there were so many switches: who was asleep when something came."""
    came = [
        event.at_ns
        for event in filter(moment.concerns, moment.events)
        if event.what in {"delivered", "resumable"}
    ]
    if not came or moment.noun != "request":
        return
    woken = [e.at_ns for e in filter(moment.concerns, moment.events) if e.what == "woke"]
    by_arrival = sum(at_ns in woken for at_ns in came)
    awake = len(came) - by_arrival
    text = (
        f"Of {len(came)} arrivals (requests, and what they waited for) {by_arrival} woke a "
        f"sleeping thread"
    )
    if awake:
        text += f"; {awake} came while the thread that serves them was awake, and cost no switch"
    yield f"{text}."
    any_arrival = {e.at_ns for e in moment.events if e.what in {"delivered", "resumable"}}
    by_others = sum(at_ns in any_arrival and at_ns not in came for at_ns in woken)
    by_threads = len(woken) - sum(at_ns in any_arrival for at_ns in woken)
    if by_others:
        yield f"Woken by what came for others, then at work for these, too: {_times(by_others)}."
    if by_threads:
        yield f"Woken by another thread, or by a timer: {_times(by_threads)}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _parts(life: Life, noun: str) -> str:
    took = format_duration_ns(life.answered_ns - life.intended_ns)
    parts = ", ".join(
        f"{part.replace('_', ' ')} {format_duration_ns(ns)}"
        for part, ns in life.parts_ns.items()
        if ns
    )
    return f"{noun.capitalize()} {life.number} took {took}: {parts}."
