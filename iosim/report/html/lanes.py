"""A moment of a run as a picture, step by step: a lane for each request, core and thread.

Time runs to the right, to the same scale in all pictures of one row of models, but for gaps:
while no core works, or one only asks in vain, a gap stands for the time, however long. Every
step of the moment's story has its place in the picture, which the page's script shows as it
is walked through; without the script the story is a list.

Validated by: tests/report/test_lanes.py
"""

from collections.abc import Sequence
from itertools import pairwise

from iosim.machine.thread import CAUSES
from iosim.report.html.clock import NAMES, Clock, clock_of
from iosim.report.html.markup import Markup, number, tag
from iosim.report.story import MOST_LINES, Step, steps, sums_of
from iosim.report.timeline import Event, Moment, Span
from iosim.units import format_duration_ns

SHORTEST = 1.0
LANE, THICK, FOOT = 24, 14, 34
MOST_THREADS = 8


def story(moment: Moment, px_per_us: float, width: int, name: str) -> Markup:
    """Picture, steps and sums of one model's moment."""
    clock = clock_of(moment, px_per_us)
    told = steps(moment)
    first, *others = sums_of(moment)
    items = [_item(step, moment, clock) for step in told[:MOST_LINES]]
    if len(told) > MOST_LINES:
        items.append(tag("li", f"... and {len(told) - MOST_LINES} more steps"))
    return tag(
        "article",
        tag("h3", name),
        tag("div", _picture(moment, clock, width, name), class_="scroll lanes"),
        tag("ol", items, class_="steps", tabindex="0", aria_label=f"{name}, step by step"),
        tag("p", first, class_="sum"),
        tag(
            "details",
            tag("summary", "What it came to"),
            tag("ul", [tag("li", sentence) for sentence in others], class_="sums"),
        ),
        class_="moment",
    )


def _item(step: Step, moment: Moment, clock: Clock) -> Markup:
    at = f"{(step.at_ns - moment.from_ns) / 1000:,.2f}"
    core = "" if step.core is None else f"core {step.core}"
    took = "" if step.ns is None else format_duration_ns(step.ns)
    left = clock(step.at_ns)
    return tag(
        "li",
        tag("span", f"{at} us", class_="at"),
        tag("span", tag("b", step.who), f" {step.text}"),
        tag("small", ", ".join(filter(None, (core, took)))),
        class_="about" if step.about else None,
        data_from=left,
        data_to=clock(step.at_ns + (step.ns or 0)),
    )


# ---------------------------------------------------------------------------- the picture


def _picture(moment: Moment, clock: Clock, width: int, name: str) -> Markup:
    threads = _threads(moment)
    lanes: list[tuple[str, list[Markup]]] = [
        *((f"{moment.noun} {life.number}", []) for life in moment.lives),
        *((f"core {core}", []) for core in range(moment.cores)),
        *((thread, []) for thread in threads),
    ]
    first_core = len(moment.lives)
    first_thread = first_core + moment.cores
    height = LANE * len(lanes) + FOOT
    drawn: list[Markup] = [_gap(moment, clock, at, height) for at in clock.cut]
    for row, (lane, _) in enumerate(lanes):
        y = row * LANE
        text = lane if len(lane) <= 14 else f"{lane[:13]}\u2026"
        drawn.append(tag("text", text, x=0, y=y + 15, class_="lane"))
        drawn.append(tag("path", class_="grid", d=f"M{NAMES} {y + LANE}H{width - 8}"))
    for row, life in enumerate(moment.lives):
        drawn += _life(moment, life.number, life.intended_ns, life.answered_ns, clock, row)
    drawn += _work(moment, clock, first_core)
    for row, thread in enumerate(threads, first_thread):
        drawn += _thread(moment, thread, clock, row)
    ends = number(clock.at_px[-1])
    drawn.append(tag("path", class_="grid", d=f"M{NAMES} 0V{LANE * len(lanes)}"))
    drawn.append(tag("path", class_="grid", d=f"M{ends} 0V{LANE * len(lanes)}"))
    drawn.append(tag("rect", class_="cursor", x=0, y=0, width=0, height=LANE * len(lanes)))
    took = format_duration_ns(moment.to_ns - moment.from_ns)
    drawn.append(tag("text", "0", x=NAMES, y=height - 5, class_="tick", text_anchor="middle"))
    drawn.append(
        tag("text", took, x=clock.at_px[-1], y=height - 5, class_="tick", text_anchor="end")
    )
    title = f"{name}: what cores and threads do"
    says = (
        f"{len(moment.lives)} {moment.noun}s in {took}: {moment.count('slept')} voluntary and "
        f"{moment.count('preempted')} involuntary context switches. Each step is told below."
    )
    return tag(
        "svg",
        tag("title", title),
        tag("desc", says),
        drawn,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=f"{title}. {says}",
    )


def _threads(moment: Moment) -> list[str]:
    """Those that work for the requests shown, in the order in which they come."""
    pieces: list[Span | Event] = sorted(
        (*moment.spans, *moment.events),
        key=lambda piece: piece.from_ns if isinstance(piece, Span) else piece.at_ns,
    )
    names = (
        piece.thread for piece in pieces if piece.thread and piece.whose and moment.concerns(piece)
    )
    return list(dict.fromkeys(names))[:MOST_THREADS]


def _gap(moment: Moment, clock: Clock, index: int, height: int) -> Markup:
    left, right = clock.at_px[index], clock.at_px[index + 1]
    bottom = height - FOOT
    passed = format_duration_ns(clock.at_ns[index + 1] - clock.at_ns[index])
    return tag(
        "g",
        tag("title", f"{passed} in which no core works"),
        tag("rect", class_="gap", x=left, y=0, width=right - left, height=bottom),
        tag(
            "text",
            passed.replace(" ", ""),
            x=(left + right) / 2,
            y=bottom + 13,
            class_="tick faint",
            text_anchor="middle",
        ),
    )


def _life(
    moment: Moment, request: int, from_ns: int, to_ns: int, clock: Clock, row: int
) -> list[Markup]:
    middle = row * LANE + LANE / 2
    left, right = clock(from_ns), clock(to_ns)
    drawn = [tag("path", class_="life", d=f"M{number(left)} {middle}H{number(right)}")]
    own = [e for e in moment.events if e.request == request]
    # Between being taken up and being left, it is worked on.
    begun: int | None = None
    for event in own:
        if event.what == "begun":
            begun = event.at_ns
        elif event.what == "paused" and begun is not None:
            path = f"M{number(clock(begun))} {middle}H{number(clock(event.at_ns))}"
            drawn.append(tag("path", class_="served", d=path))
            begun = None
    for event in own:
        if event.what in {"delivered", "resumable"}:
            says = "arrives" if event.what == "delivered" else "what it waited for is there"
            at = number(clock(event.at_ns))
            drawn.append(
                tag("path", tag("title", says), class_="arrival", d=f"M{at} {middle - 7}v14")
            )
    return drawn


def _work(moment: Moment, clock: Clock, first_core: int) -> list[Markup]:
    """What the cores do: a rectangle for work of one thread and cause that goes on."""
    pieces: dict[int, list[list[Span]]] = {}
    for span in moment.spans:
        own = pieces.setdefault(span.core, [])
        before = own[-1][-1] if own else None
        if (
            before is not None
            and before.to_ns == span.from_ns
            and before.thread == span.thread
            and _class(moment, before) == _class(moment, span)
        ):
            own[-1].append(span)
        else:
            own.append([span])
    return [
        _rectangle(moment, spans, clock, first_core + core)
        for core, own in sorted(pieces.items())
        for spans in own
    ]


def _rectangle(moment: Moment, spans: Sequence[Span], clock: Clock, row: int) -> Markup:
    first, last = spans[0], spans[-1]
    left = clock(first.from_ns)
    who = first.thread or ("the host" if first.cause == "stolen" else "an interrupt")
    took = format_duration_ns(last.to_ns - first.from_ns)
    labels = ", ".join(dict.fromkeys(span.label for span in spans))
    return tag(
        "rect",
        tag("title", f"{who}, {labels}: {took}"),
        class_=_class(moment, first),
        x=left,
        y=row * LANE + (LANE - THICK) / 2,
        width=max(clock(last.to_ns) - left, SHORTEST),
        height=THICK,
    )


def _class(moment: Moment, span: Span) -> str:
    """Its colour; paler if it was done for others alone."""
    return f"p{CAUSES.index(span.cause)}{'' if moment.concerns(span) else ' other'}"


def _thread(moment: Moment, thread: str, clock: Clock, row: int) -> list[Markup]:
    top = row * LANE + (LANE - THICK) / 2
    middle = row * LANE + LANE / 2
    drawn = [
        tag("path", class_=kind, d=f"M{number(clock(a))} {middle}H{number(clock(b))}")
        for a, b, kind in _states(moment, thread)
    ]
    work: dict[str, list[str]] = {}
    for span in moment.spans:
        if span.thread == thread:
            left = clock(span.from_ns)
            width = number(max(clock(span.to_ns) - left, SHORTEST))
            piece = f"M{number(left)} {number(top)}h{width}v{THICK}h-{width}z"
            work.setdefault(_class(moment, span), []).append(piece)
    drawn += [tag("path", class_=kind, d="".join(pieces)) for kind, pieces in work.items()]
    for event in moment.events:
        if event.thread != thread or event.what not in _MARKS:
            continue
        says, kind, shape = _MARKS[event.what]
        at = clock(event.at_ns)
        place = f"M{number(at)} {number(top + THICK / 2)}{shape}"
        drawn.append(tag("path", tag("title", f"{thread} {says}"), class_=kind, d=place))
    return drawn


_MARKS = {
    "woke": ("wakes", "woke", "m0 -8l4 7h-8z"),
    "slept": ("sleeps: a voluntary switch", "slept", "m-2 -9h4v18h-4z"),
    "preempted": ("is preempted: an involuntary switch", "preempted", "m-2 -9h4v18h-4z"),
}


def _states(moment: Moment, thread: str) -> list[tuple[int, int, str]]:
    """When a thread sleeps, and when it is runnable and waits for its core."""
    turns: list[tuple[int, str]] = []
    for event in moment.events:
        if event.thread == thread and event.what in {"slept", "woke", "preempted"}:
            if not turns:
                before = "asleep" if event.what == "woke" else "ready"
                turns.append((moment.from_ns, before))
            turns.append((event.at_ns, "asleep" if event.what == "slept" else "ready"))
    turns.append((moment.to_ns, ""))
    found: list[tuple[int, int, str]] = []
    for (at_ns, kind), (until_ns, _) in pairwise(turns):
        from_ns = at_ns
        if kind == "ready":  # while it works it has its core
            for span in moment.spans:
                if span.thread == thread and from_ns <= span.from_ns < until_ns:
                    found.append((from_ns, span.from_ns, kind))
                    from_ns = span.to_ns
        found.append((from_ns, until_ns, kind))
    return [(at_ns, until_ns, kind) for at_ns, until_ns, kind in found if until_ns > at_ns]


def legend_entries(causes: Sequence[str]) -> list[tuple[Markup, str]]:
    """What the marks in the lanes mean, besides the causes of work."""

    def mark(*shapes: Markup) -> Markup:
        return tag("svg", *shapes, class_="swatch", viewBox="0 0 14 14", aria_hidden="true")

    found = [
        (mark(tag("rect", class_=f"p{CAUSES.index(cause)}", x=1, y=1, width=12, height=12)), cause)
        for cause in causes
    ]
    found += [
        (mark(tag("rect", class_="p0 other", x=1, y=1, width=12, height=12)), "paler: for others"),
        (mark(tag("path", class_="slept", d="M5 0h4v14h-4z")), "sleeps (voluntary switch)"),
        (mark(tag("path", class_="preempted", d="M5 0h4v14h-4z")), "preempted (involuntary)"),
        (mark(tag("path", class_="woke", d="M7 2l5 9h-10z")), "wakes"),
        (mark(tag("path", class_="asleep", d="M0 7H14")), "asleep"),
        (mark(tag("path", class_="ready", d="M0 7H14")), "waits for its core"),
        (mark(tag("path", class_="arrival", d="M7 0V14")), "something arrives"),
        (mark(tag("path", class_="served", d="M0 7H14")), "worked on"),
    ]
    return found
