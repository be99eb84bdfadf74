"""Watching a run: what every core did, moment by moment, and one moment chosen to be shown.

    observe(scenario, model, costs, busy) -> Moment

What it does: a `Timeline` is a `Trace` that writes everything down from the first request
on, up to a limit. Out of it a moment is cut: a typical request that has the server to
itself, or, if a busy moment is wanted, the few requests that come closest together. Both
depend on arrivals more than on the model, so that two models can be held side by side.
Each piece of it is known by the requests on whose behalf it was done: `Whose`.

Scope: one replication.
Not done: no words; those are story.py's.
Validated by: tests/cli/test_explain_command.py
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from iosim.machine.request import ANSWERED, PARTS, Request
from iosim.machine.thread import CAUSES, ENTRY, SPIN, SYSCALL
from iosim.machine.trace import Trace
from iosim.report.burst import laid_out

if TYPE_CHECKING:
    from iosim.choice import Chosen
    from iosim.machine.core import Core
    from iosim.machine.costs import Costs
    from iosim.machine.thread import Segment, Thread, WaitQueue
    from iosim.scenario import Scenario

MOST_SPANS: Final = 100_000
"""Enough for a thousand requests and more; a trace must not eat the machine's memory."""

TOGETHER: Final = 4
"""So many requests make a busy moment."""

AWAY: Final = 3
"""A moment's neighbours stay away by so many times its own length, if there is such a one."""


@dataclass(frozen=True)
class Span:
    """A piece of a core's time, for one reason; `calls` counts the syscalls begun in it."""

    thread: str
    core: int
    cause: str
    label: str
    from_ns: int
    to_ns: int
    calls: int = 0
    whose: frozenset[int] = frozenset()
    """The requests on behalf of which it was done; empty: of none in particular."""


@dataclass(frozen=True)
class Event:
    """Something that happens at an instant; `what` is the hook's name, `detail` its argument."""

    at_ns: int
    what: str
    thread: str = ""
    core: int | None = None
    detail: str = ""
    ns: int = 0
    request: int | None = None
    whose: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Life:
    """One request's life, and where it went."""

    number: int
    intended_ns: int
    answered_ns: int
    parts_ns: dict[str, int]


@dataclass(frozen=True)
class Moment:
    """A part of a run, from the first request's intended send time until all are answered."""

    model: str
    cores: int
    from_ns: int
    to_ns: int
    lives: tuple[Life, ...]
    spans: tuple[Span, ...]
    events: tuple[Event, ...]
    noun: str
    in_flight: int
    """How many other requests were under way at some time in this moment."""

    @property
    def numbers(self) -> frozenset[int]:
        """The requests shown."""
        return frozenset(life.number for life in self.lives)

    def concerns(self, piece: Span | Event) -> bool:
        """True of what was done for a request shown, or for none in particular."""
        return not piece.whose or not piece.whose.isdisjoint(self.numbers)

    def shared(self, piece: Span | Event) -> bool:
        """True of what was done for requests shown and others at once."""
        return self.concerns(piece) and not piece.whose <= self.numbers

    def cpu_ns(self) -> dict[str, int]:
        """CPU time by cause within the moment, for the requests shown."""
        sums: Counter[str] = Counter()
        for span in filter(self.concerns, self.spans):
            sums[span.cause] += span.to_ns - span.from_ns
        return {cause: sums[cause] for cause in CAUSES if sums[cause]}

    def exits_ns(self) -> int:
        """What of the switches' CPU time is the way out of idle, for the requests shown."""
        spans = filter(self.concerns, self.spans)
        return sum(span.to_ns - span.from_ns for span in spans if span.label == "idle exit")

    def syscalls(self) -> dict[str, int]:
        """Syscalls begun within the moment for the requests shown, by name."""
        counts: Counter[str] = Counter()
        for span in filter(self.concerns, self.spans):
            if span.calls:
                asked = f"asks in vain ({span.label})"
                counts[asked if span.cause == "spin" else span.label] += span.calls
        return dict(counts.most_common())

    def count(self, what: str) -> int:
        """How often something happened on behalf of the requests shown."""
        return sum(event.what == what for event in filter(self.concerns, self.events))


@dataclass
class Timeline(Trace):
    """A `Trace` that remembers."""

    spans: list[Span] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    _not_its_own: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    _asleep: dict[str, tuple[int, str]] = field(default_factory=dict)
    _last_call: dict[str, str] = field(default_factory=dict)
    _full: bool = False

    @property
    def _on(self) -> bool:
        return bool(self.requests) and not self._full

    # ------------------------------------------------------------------ threads and cores

    def spawned(self, thread: "Thread", at_ns: int) -> None:
        self._event(Event(at_ns, "spawned", thread.name))

    def dispatched(self, thread: "Thread", core: "Core", at_ns: int, runs_ns: int) -> None:
        self._event(Event(at_ns, "dispatched", thread.name, core.number, ns=runs_ns - at_ns))

    def ran(
        self, thread: "Thread", core: "Core", from_ns: int, to_ns: int, segments: "list[Segment]"
    ) -> None:
        if segments and segments[-1][0] in {SYSCALL, ENTRY}:
            self._last_call[thread.name] = segments[-1][2]
        if not self._on:
            return
        others = self._not_its_own.get(core.number, [])
        for (cause, ns, label), places in laid_out(segments, from_ns, to_ns, others):
            calls = int(cause == ENTRY)
            if cause == SPIN:
                calls = ns // max(1, thread.kernel.ask_ns())
            name = "syscall" if cause == ENTRY else CAUSES[cause]
            for start_ns, stop_ns in places:
                # Its calls are those of the last place.
                last = calls if stop_ns == places[-1][1] else 0
                span = Span(thread.name, core.number, name, label, start_ns, stop_ns, last)
                self.spans.append(span)
        self._full = len(self.spans) > MOST_SPANS

    def preempted(self, thread: "Thread", core: "Core", at_ns: int, by: "Thread") -> None:
        self._event(Event(at_ns, "preempted", thread.name, core.number, by.name))

    def slept(self, thread: "Thread", core: "Core", at_ns: int, on: "WaitQueue") -> None:
        where = self._last_call.get(thread.name, "")
        if on.name != where:
            where = f"{where} ({on.name})" if where else on.name
        self._asleep[thread.name] = (at_ns, where)
        self._event(Event(at_ns, "slept", thread.name, core.number, where))

    def woke(self, thread: "Thread", at_ns: int) -> None:
        since_ns, where = self._asleep.get(thread.name, (at_ns, ""))
        self._event(Event(at_ns, "woke", thread.name, None, where, at_ns - since_ns))

    def ended(self, thread: "Thread", core: "Core", at_ns: int) -> None:
        self._event(Event(at_ns, "ended", thread.name, core.number))

    def interrupted(self, core: "Core", at_ns: int, ns: int) -> None:
        if self._on:
            self._not_its_own.setdefault(core.number, []).append((at_ns, at_ns + ns))
            self.spans.append(Span("", core.number, "softirq", "interrupt", at_ns, at_ns + ns))

    def stolen(self, core: "Core", at_ns: int, ns: int) -> None:
        if self._on:
            self._not_its_own.setdefault(core.number, []).append((at_ns, at_ns + ns))
            self.spans.append(Span("", core.number, "stolen", "host", at_ns, at_ns + ns))

    # ------------------------------------------------------------------------- requests

    def delivered(self, request: Request, at_ns: int) -> None:
        if not self._full:
            self.requests.append(request)
        self._event(Event(at_ns, "delivered", request=request.number))

    def begun(self, request: Request, thread: "Thread", at_ns: int) -> None:
        self._event(Event(at_ns, "begun", thread.name, request=request.number))

    def paused(self, request: Request, at_ns: int) -> None:
        self._event(Event(at_ns, "paused", request.thread.name, request=request.number))

    def resumable(self, request: Request, at_ns: int) -> None:
        self._event(Event(at_ns, "resumable", request=request.number))

    def _event(self, event: Event) -> None:
        if self._on:
            self.events.append(event)


# ------------------------------------------------------------------- who works for whom


class Whose:
    """For which requests each thread works, at each instant.

    What a thread does from a request's `begun` to its `paused` is that request's. What it
    does before (waking up, an epoll_wait) is shared by all that it then works on without
    a break; what it does before it sleeps, and the sleep, by all since it woke.
    """

    def __init__(self, events: list[Event]) -> None:
        self._from_ns: dict[str, list[int]] = {}
        self._whose: dict[str, list[frozenset[int]]] = {}
        self._slept: dict[tuple[str, int], frozenset[int]] = {}
        self._arrived: dict[int, int] = {}
        own: dict[str, list[Event]] = {}
        for event in events:
            if event.what in {"begun", "paused", "slept", "woke"}:
                own.setdefault(event.thread, []).append(event)
            elif event.what in {"delivered", "resumable"} and event.request is not None:
                self._arrived[event.at_ns] = event.request
        for thread, of_thread in own.items():
            self._from_ns[thread], self._whose[thread] = [], []
            self._read(thread, of_thread)

    def _read(self, thread: str, events: list[Event]) -> None:
        serves: int | None = None
        # Since the thread woke: from when on it has served whom.
        turn: list[tuple[int, int | None]] = []
        for event in events:
            if event.what == "slept":
                self._end_turn(thread, turn, event.at_ns)
                turn = []
                continue
            if event.what != "woke":  # in which case it goes on with what it slept in
                serves = event.request if event.what == "begun" else None
            turn.append((event.at_ns, serves))
        self._end_turn(thread, turn, None)

    def _end_turn(
        self, thread: str, turn: list[tuple[int, int | None]], slept_ns: int | None
    ) -> None:
        everyone = frozenset(number for _, number in turn if number is not None)
        found: list[frozenset[int]] = []
        batch: set[int] = set()
        next_ns: int | None = None
        for at_ns, number in reversed(turn):
            if number is not None:
                batch.add(number)
                found.append(frozenset({number}))
            else:
                found.append(frozenset(batch) or everyone)
                if at_ns != next_ns:  # else the next request is taken up at once
                    batch.clear()
            next_ns = at_ns
        self._from_ns[thread] += [at_ns for at_ns, _ in turn]
        self._whose[thread] += reversed(found)
        if slept_ns is not None:
            self._slept[thread, slept_ns] = everyone

    def span(self, span: Span) -> frozenset[int]:
        """For whom a piece of work was done."""
        if span.thread:
            return self._at(span.thread, span.from_ns)
        # An interrupt: for what arrives with its end.
        arrived = self._arrived.get(span.to_ns)
        return frozenset() if arrived is None else frozenset({arrived})

    def event(self, event: Event) -> frozenset[int]:
        """Whom an event concerns."""
        if event.request is not None:
            return frozenset({event.request})
        if event.what == "slept":
            return self._slept.get((event.thread, event.at_ns), frozenset())
        return self._at(event.thread, event.at_ns)

    def _at(self, thread: str, at_ns: int) -> frozenset[int]:
        index = bisect_right(self._from_ns.get(thread, ()), at_ns)
        return self._whose[thread][index - 1] if index else frozenset()


# ----------------------------------------------------------------------------- the moment


def observe(
    scenario: "Scenario", model: "Chosen[Any]", costs: "Costs", busy: bool = False
) -> Moment:
    """Simulate one replication and cut a moment out of it. Raises SimulationError, UsageError."""
    from iosim.errors import UsageError
    from iosim.plugins import kinds
    from iosim.scenario import label_of
    from iosim.simulation import run_once

    timeline = Timeline()
    run_once(scenario, model, costs, 0, trace=timeline)
    # A thread's own time runs ahead of the clock, so that events come out of order.
    timeline.events.sort(key=lambda event: event.at_ns)
    timeline.spans.sort(key=lambda span: span.from_ns)
    lives = _lives(timeline)
    if not lives:
        raise UsageError("no request was answered in this run: there is none to explain")
    chosen = _together(lives) if busy else [_typical(lives)]
    return _moment(
        timeline,
        lives,
        chosen,
        label_of(model),
        scenario.machine.cores,
        kinds("workloads")[scenario.workload.kind].TRAFFIC.removesuffix("s"),
    )


def _lives(timeline: Timeline) -> list[Life]:
    """All requests of which everything was seen, in the order of their intended send times."""
    last_ns = timeline.events[-1].at_ns if timeline.events else 0
    left = {event.request for event in timeline.events if event.what == "paused"}
    lives = []
    for request in timeline.requests:
        parts_ns = {part: getattr(request, f"{part}_ns") for part in PARTS}
        end_ns = request.intended_ns + sum(parts_ns.values())
        # A pipeline's item is on no connection, and nobody answers it: it is used, and left.
        is_item = not hasattr(request, "connection")
        over = request.number in left if is_item else request.state == ANSWERED
        if over and end_ns < last_ns:
            lives.append(Life(request.number, request.intended_ns, end_ns, parts_ns))
    lives.sort(key=lambda life: life.intended_ns)
    # What comes first meets cold caches and threads that have never run.
    return lives[len(lives) // 10 :]


def _overlaps(lives: list[Life]) -> list[int]:
    """For each life, how many others were under way at some time in it."""
    starts = [life.intended_ns for life in lives]
    ends = sorted(life.answered_ns for life in lives)
    return [
        bisect_left(starts, life.answered_ns) - bisect_left(ends, life.intended_ns) - 1
        for life in lives
    ]


def _typical(lives: list[Life]) -> Life:
    """The first near the median response time of those that met the fewest others."""
    overlaps = _overlaps(lives)
    alone = [life for life, count in zip(lives, overlaps, strict=True) if count == min(overlaps)]
    middle_ns = median(life.answered_ns - life.intended_ns for life in alone)

    def off(life: Life) -> float:
        return abs(life.answered_ns - life.intended_ns - middle_ns)

    near = [life for life in alone if off(life) <= middle_ns / 20]
    return near[0] if near else min(alone, key=off)


def _together(lives: list[Life]) -> list[Life]:
    """The few that come closest together, of those from which the next ones stay away."""
    count = min(TOGETHER, len(lives))
    intended_ns = [life.intended_ns for life in lives]

    def crowded(first: int) -> tuple[bool, int]:
        last = first + count - 1
        before_ns = intended_ns[first] - intended_ns[max(0, first - 1)]
        after_ns = intended_ns[min(last + 1, len(lives) - 1)] - intended_ns[last]
        spread_ns = intended_ns[last] - intended_ns[first]
        return min(before_ns, after_ns) < AWAY * spread_ns, spread_ns

    first = min(range(len(lives) - count + 1), key=crowded)
    return lives[first : first + count]


def _moment(
    timeline: Timeline, lives: list[Life], chosen: list[Life], model: str, cores: int, noun: str
) -> Moment:
    from_ns = min(life.intended_ns for life in chosen)
    answered_ns = max(life.answered_ns for life in chosen)
    to_ns = _at_rest(timeline, chosen, answered_ns)
    numbers = {life.number for life in chosen}
    whose = Whose(timeline.events)
    others = sum(
        life.intended_ns < to_ns and life.answered_ns > from_ns and life.number not in numbers
        for life in lives
    )
    return Moment(
        model,
        cores,
        from_ns,
        to_ns,
        tuple(chosen),
        tuple(
            replace(_within(span, from_ns, to_ns), whose=whose.span(span))
            for span in timeline.spans
            if span.to_ns > from_ns and span.from_ns < to_ns
        ),
        tuple(
            replace(event, whose=whose.event(event))
            for event in timeline.events
            if from_ns <= event.at_ns <= to_ns
        ),
        noun,
        others,
    )


def _within(span: Span, from_ns: int, to_ns: int) -> Span:
    """What of a span lies in a moment; its calls in proportion, or where they began."""
    start_ns, end_ns = max(span.from_ns, from_ns), min(span.to_ns, to_ns)
    if (start_ns, end_ns) == (span.from_ns, span.to_ns):
        return span
    calls = span.calls if start_ns == span.from_ns else 0
    if span.cause == "spin":
        calls = span.calls * (end_ns - start_ns) // (span.to_ns - span.from_ns)
    return replace(span, from_ns=start_ns, to_ns=end_ns, calls=calls)


def _at_rest(timeline: Timeline, chosen: list[Life], answered_ns: int) -> int:
    """When the thread that answered last sleeps again, unless another request comes first."""
    numbers = {life.number for life in chosen}
    left = [e for e in timeline.events if e.what == "paused" and e.request in numbers]
    if not left:
        return answered_ns
    last = left[-1]
    for event in timeline.events:
        if event.at_ns < last.at_ns:
            continue
        if event.what == "slept" and event.thread == last.thread:
            return max(answered_ns, event.at_ns)
        if event.what == "delivered":
            break
    return answered_ns
