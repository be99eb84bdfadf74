"""The highest load that a model carries under its objectives, and what stops it there.

    highest_load(scenario, effort, resolution)   a generator as `probing` runs it -> Capacity

From the load of today the search goes up by factors of two while all objectives pass, or down
in longer and longer strides until they do; then it halves the ratio between the two loads until
they are no further apart than the resolution. A load counts as carried only if the whole interval
of every objective passes: what is left open after all replications is not.

All loads meet the same requests from the same random streams, only sooner, so that two loads
differ little by chance. Where one server takes one request after another, a response at a higher
load is never shorter; with several cores, batches, idle cores or a run made longer it may be. So
that there is one crossing from pass to fail is what the search assumes, not what is proved; and
that a load passes is said at 95% of that load alone, while several are tried.

Scope: objectives that get worse with the load; one that gets better (`throughput > 2k/s`) is
looked for above today's load first.
Not done: several separate ranges of loads that pass: the search ends in one of them.
Source: bisection; common random numbers: Law, "Simulation Modeling and Analysis", 11.2.
Validated by: tests/theory/test_plan_capacity.py, tests/studies/test_plan_search.py
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import sqrt

from iosim.scenario import Scenario
from iosim.slo import parse_slo
from iosim.studies.keeping_up import KEEPS_UP
from iosim.studies.limiting import Use, fullest
from iosim.studies.load import at_load, load_of
from iosim.studies.probing import MOST_REQUESTS_A_RUN, Effort, Outcome, Probe, Run, probe

DOWN = (2, 8, 64, 1024)
"""Below today's load the search tries these parts of it."""
UP_AT_MOST = 2**20
CLEARLY_TOO_MUCH = 3
"""So many doublings at most to find a load that fails, not only one that is left open."""

Search = Generator[list[Run], list[Outcome], "Capacity"]


@dataclass(frozen=True)
class Capacity:
    """What a model carries: every load that was tried, ascending, and what they come to."""

    label: str
    today: Probe
    probes: tuple[Probe, ...]
    resolution: float
    """The ratio of the two loads between which the limit lies, less one, was to be this."""

    @property
    def carries(self) -> Probe | None:
        """The highest load that passes; None if none does."""
        return max(
            (each for each in self.probes if each.verdict == "pass"),
            key=lambda each: each.load,
            default=None,
        )

    @property
    def fails(self) -> Probe | None:
        """The lowest load above it that fails; None if none does."""
        return self._lowest_above("fail")

    @property
    def open_from(self) -> Probe | None:
        """The lowest load above it that is left undecided; None if none is."""
        return self._lowest_above("inconclusive")

    @property
    def headroom(self) -> float | None:
        """How much more load than today's it carries, as a part of today's; may be negative."""
        carries = self.carries
        return None if carries is None else carries.load / self.today.load - 1

    @property
    def runs(self) -> int:
        """Simulated in all."""
        return sum(each.runs for each in self.probes)

    @property
    def limit(self) -> Use | None:
        """What stops it, with its figures at the highest load that it carries."""
        carries = self.carries
        if carries is None:
            return _stops(self.probes[0]) or self.probes[0].largest_part
        beyond = [p for p in self.probes if p.load > carries.load and p.verdict != "pass"]
        # The nearest load that is too much says it, unless nothing is used up there yet.
        found = next((use for each in beyond if (use := _stops(each)) is not None), None)
        if found is None:
            return beyond[0].largest_part if beyond else None
        same = [use for use in carries.uses if use.name == found.name]
        return same[0] if same else found

    def _lowest_above(self, verdict: str) -> Probe | None:
        carries = self.carries
        floor = carries.load if carries is not None else 0.0
        return next((p for p in self.probes if p.load > floor and p.verdict == verdict), None)


def _stops(failed: Probe) -> Use | None:
    """What is used up at a load that is too much."""
    if failed.error is not None and not failed.uses:
        return Use("error", "error", 1.0, failed.error)
    given = [line for line in failed.unmet if line != KEEPS_UP.text]
    metrics = set() if failed.replications == 0 else {parse_slo(line).metric for line in given}
    if any(metric.startswith("memory_") for metric in metrics) and failed.memory is not None:
        return failed.memory
    for use in failed.uses:
        if use.kind == "descriptors" or metrics & set(_metrics_of(use)):
            return use
    return fullest(failed.uses)


def _metrics_of(use: Use) -> tuple[str, ...]:
    """An objective on one of these is about this resource."""
    if use.kind == "core":
        return ("cpu_utilization", "cpu_utilization_busiest_core", "cpu_idle_fraction")
    if use.kind == "thread":
        return ("cpu_utilization_busiest_thread",)
    if use.kind == "interpreter lock":
        return ("interpreter_lock_utilization",)
    if use.kind == "device":
        name = use.name.removeprefix("device ")
        return (f"device_{name}_utilization", f"device_{name}_queue")
    return ()


def highest_load(scenario: Scenario, effort: Effort, resolution: float) -> Search:
    """Search for it, from the load of a scenario of one model.

    resolution: how near the answer is wanted, a ratio > 0 such as 0.01.
    """
    tried: dict[float, Probe] = {}

    def attempt(load: float) -> Generator[list[Run], list[Outcome], Probe]:
        other = at_load(scenario, load)
        actual = load_of(other)
        if actual not in tried:
            tried[actual] = yield from probe(other, effort)
        return tried[actual]

    today = yield from attempt(load_of(scenario))
    low = today if today.verdict == "pass" else None
    high = None if low is not None else today
    if low is None and _wants_more(today):
        low, high = yield from _upwards(attempt, today, scenario)
    if low is None:
        low, high = yield from _downwards(attempt, today)
    elif high is None:
        low, high = yield from _upwards(attempt, low, scenario)
    yield from _until_it_fails(attempt, tried, scenario)
    while low is not None and high is not None and high.load / low.load > 1 + resolution:
        middle = yield from attempt(sqrt(low.load * high.load))
        if middle.load in (low.load, high.load):
            break  # users are whole
        low, high = (middle, high) if middle.verdict == "pass" else (low, middle)
    probes = tuple(sorted(tried.values(), key=lambda each: each.load))
    return Capacity(today.label, today, probes, resolution)


def _wants_more(failed: Probe) -> bool:
    """Whether an objective fails that a higher load may satisfy."""
    return any(">" in line for line in failed.failing)


Attempt = Callable[[float], Generator[list[Run], list[Outcome], Probe]]
Attempts = Generator[list[Run], list[Outcome], None]
Bracket = Generator[list[Run], list[Outcome], "tuple[Probe | None, Probe | None]"]


def _upwards(attempt: Attempt, start: Probe, scenario: Scenario) -> Bracket:
    """The last load that passes and the first above it that does not."""
    low = start if start.verdict == "pass" else None
    last = start
    factor = 2
    while factor <= UP_AT_MOST and _simulable(scenario, start.load * factor):
        last = yield from attempt(start.load * factor)
        if last.verdict == "pass":
            low = last
        elif low is not None:
            return low, last
        elif not _wants_more(last):
            return None, last
        factor *= 2
    return low, None


def _until_it_fails(attempt: Attempt, tried: dict[float, Probe], scenario: Scenario) -> Attempts:
    """Where all is left undecided above the load that passes, a load that is clearly too much."""
    last = max(tried.values(), key=lambda each: each.load)
    for _ in range(CLEARLY_TOO_MUCH):
        if last.verdict != "inconclusive" or not _simulable(scenario, 2 * last.load):
            break
        last = yield from attempt(2 * last.load)


def _simulable(scenario: Scenario, load: float) -> bool:
    """Whether a run at this load is one that somebody would wait for."""
    seconds = scenario.run.duration / 1e9
    return load * seconds <= MOST_REQUESTS_A_RUN


def _downwards(attempt: Attempt, start: Probe) -> Bracket:
    """The first load below that passes, and the last before it that does not."""
    high = start
    for part in DOWN:
        found = yield from attempt(start.load / part)
        if found.verdict == "pass":
            return found, high
        high = found
    return None, high
