"""Simulating: one run of one I/O model, and all replications of a scenario.

    simulate(scenario) -> Results

What it does: runs each model `replications` times, each with random streams of its own
number, on one or several processes; the same numbers come out whatever their number.

Not done: nothing is printed here.
Validated by: tests/conformance, tests/theory
"""

import gc
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iosim.assumptions import assumptions
from iosim.choice import Chosen
from iosim.errors import (
    Mismatch,
    SimulationError,
    Stalled,
    Starved,
    UsageError,
    WorkerDied,
    did_you_mean,
    shown,
)
from iosim.machine.alarm import NEVER, Alarm
from iosim.machine.costs import Costs
from iosim.machine.machine import Machine
from iosim.machine.thread import RUNNABLE, SPIN, Thread
from iosim.named_files import digests
from iosim.profile import Profile
from iosim.profile import load as load_profile
from iosim.record import Record, ThreadRecord
from iosim.recording import SLICES, Observation, cut_warm_up
from iosim.results import ModelResult, Results, model_result
from iosim.scenario import Scenario, check_files, label_of, require_sound
from iosim.slo import SHORT_NAMES, Verdict, known_metrics
from iosim.statistics import is_precise, replications_needed
from iosim.streams import Streams
from iosim.units import parse_fraction
from iosim.workers import Died, Workers, usable_cores

if TYPE_CHECKING:
    from iosim.machine.trace import Trace
    from iosim.world import World

SETUP_LIMIT_NS = 600_000_000_000
"""Accepting all connections may take so much simulated time."""

PATIENCE_NS = 100_000_000
"""Who has not left a core for so long while others wait for it is not going to."""


def run_once(
    scenario: Scenario,
    model: Chosen[Any],
    costs: Costs,
    replication: int,
    trace: "Trace | None" = None,
) -> Record:
    """Simulate one replication of one model by itself. Raises SimulationError."""
    run = observe(scenario, model, costs, replication, trace)
    return cut_warm_up([run], scenario.run.warm_up)[0]


def observe(
    scenario: Scenario,
    model: Chosen[Any],
    costs: Costs,
    replication: int,
    trace: "Trace | None" = None,
) -> Observation:
    """Simulate one replication of one model, warm-up included. Raises SimulationError."""
    from iosim.world import build

    streams = Streams(scenario.run.seed, replication)
    with _rare_collections():
        return _Run(build(scenario, model, costs, streams, trace), scenario, replication).go()


_collecting = threading.Lock()
_usual_thresholds: list[tuple[int, int, int]] = []
"""What the garbage collector was set to, once for each run under way in any thread."""


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the cyclic garbage collector run less often: hardly anything here is cyclic."""
    with _collecting:
        _usual_thresholds.append(_usual_thresholds[0] if _usual_thresholds else gc.get_threshold())
        gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        with _collecting:
            usual = _usual_thresholds.pop()
            if not _usual_thresholds:
                gc.set_threshold(*usual)


class _Run:
    """One world from its start to its record."""

    def __init__(self, world: "World", scenario: Scenario, replication: int) -> None:
        self._world = world
        self._scenario = scenario
        self._replication = replication
        self._boundary = Alarm(world.env, self._on_boundary)
        self._boundaries: list[int] = []
        self._baseline: dict[int, ThreadRecord] = {}
        self._end = world.env.event()
        # Until the server is ready: who has which core, and how far it has come.
        self._patience = Alarm(world.env, self._check_starved)
        self._seen: tuple[object, ...] = ()

    def go(self) -> Observation:
        world, run = self._world, self._scenario.run
        world.connect(self._on_ready)
        world.machine.background_alarms += 1
        self._patience.set(world.env._now + PATIENCE_NS)
        limit = world.env.timeout(SETUP_LIMIT_NS + run.duration)
        world.env.run(until=self._end | limit)
        if not self._end.triggered:
            raise Stalled(world.machine.model, world.env._now, _waits(world.machine))
        for core in world.machine.cores:
            core.sync()
        threads = tuple(
            _since(_thread_record(thread), self._baseline.get(thread.number))
            for thread in world.machine.threads
        )
        return world.recording.finish(world.fates(), threads, world.order(), self._replication)

    def _on_ready(self) -> None:
        world, duration_ns = self._world, self._scenario.run.duration
        start_ns: int = world.env._now
        for core in world.machine.cores:
            core.sync()
        for thread in world.machine.threads:
            self._baseline[thread.number] = _thread_record(thread)
        after_ns = {duration_ns * (index + 1) // SLICES for index in range(SLICES)}
        if isinstance(self._scenario.run.warm_up, int):
            after_ns.add(self._scenario.run.warm_up)
        self._boundaries = [start_ns + ns for ns in sorted(after_ns)]
        world.recording.boundary()
        self._boundary.set(self._boundaries[0])
        world.start()

    def _check_starved(self) -> None:
        """Raise Starved if threads that compute keep their cores from others for ever."""
        machine, scheduler = self._world.machine, self._scenario.machine.scheduler.kind
        self._patience.set(machine.env._now + PATIENCE_NS)
        if self._boundaries:
            return  # the load has started
        hogs = [
            core.current
            for core in machine.cores
            if core.current is not None
            and core.run_queue.waiting
            and core.run_queue.slice_end_ns(core.current, machine.env._now) == NEVER
            # Asking in vain may have an end, and is leaped over.
            and not any(cause == SPIN for cause, _, _ in core.current.segments)
        ]
        seen = (
            machine.open_descriptors,
            len(machine.threads),
            *((hog.number, hog.voluntary, hog.involuntary) for hog in hogs),
        )
        if hogs and seen == self._seen:
            waiting = [thread.name for thread in machine.threads if thread.state is RUNNABLE]
            names = [hog.name for hog in hogs]
            raise Starved(machine.model, machine.env._now, names, waiting, scheduler)
        self._seen = seen

    def _on_boundary(self) -> None:
        world = self._world
        del self._boundaries[0]
        if not self._boundaries:
            self._end.succeed()
            return
        self._check_stalled()
        world.recording.boundary()
        self._boundary.set(self._boundaries[0])

    def _check_stalled(self) -> None:
        """Raise Stalled if requests are under way and nothing can wake a thread any more."""
        world = self._world
        threads = world.machine.threads
        if not world.fates()["in_flight"] or any(thread.waits_on is None for thread in threads):
            return
        # Left in the heap: the limit on the setup.
        nothing_comes = len(world.env._queue) <= 1 + world.machine.background_alarms
        on_locks = all(
            thread.waits_on is not None
            and thread.waits_on.lock is not None
            and (thread.timer is None or thread.timer.due_ns == NEVER)
            for thread in threads
        )
        if nothing_comes or (threads and on_locks):
            raise Stalled(world.machine.model, world.env._now, _waits(world.machine))


def _waits(machine: Machine) -> tuple[tuple[str, str], ...]:
    return tuple(
        (thread.name, thread.waits_on.name if thread.waits_on else thread.state)
        for thread in machine.threads
    )


def _thread_record(thread: Thread) -> ThreadRecord:
    return ThreadRecord(
        name=thread.name,
        voluntary_switches=thread.voluntary,
        involuntary_switches=thread.involuntary,
        migrations=thread.migrations,
        cpu_ns=thread.cpu_ns,
        run_queue_ns=thread.off_core[0],
        wake_up_ns=thread.off_core[1],
        lock_ns=thread.off_core[2],
    )


def _since(now: ThreadRecord, then: ThreadRecord | None) -> ThreadRecord:
    if then is None:
        return now
    return ThreadRecord(
        name=now.name,
        **{key: value - getattr(then, key) for key, value in vars(now).items() if key != "name"},
    )


# ------------------------------------------------------------------- many replications

FEWEST_REPLICATIONS = 5
"""Of fewer the spread is hardly known, and a narrow interval may be chance (Law 9.4.1)."""

MOST_REPLICATIONS = 200
"""A precision not reached by so many replications is reported as inconclusive."""

Task = tuple[int, int]
"""(index of the model in the scenario, replication)."""

Outcome = Observation | SimulationError

Progress = Callable[[int, int], None]
"""Called with how many runs are done, out of how many."""

Watch = Callable[[int, int, Callable[[], Results]], None]
"""The same, and what gives the results so far."""


@dataclass(frozen=True)
class Precision:
    """How narrow an interval is wanted: the largest error of one metric, relative to it."""

    text: str
    metric: str
    half_width: float

    @classmethod
    def parse(cls, text: str) -> "Precision":
        """Read `5%@p99`: a half width, and a metric by its name or as objectives call it.

        Raises UsageError.
        """
        width, at, name = (part.strip() for part in text.partition("@"))
        try:
            if not at:
                raise Mismatch("a half width and a metric, such as 5%@p99", shown(text))
            half_width = parse_fraction(width)
            if not 0 < half_width < 1:
                raise Mismatch("a half width between 0% and 100%", shown(width))
            metric = SHORT_NAMES.get(name, name)
            if metric not in known_metrics():
                hint = did_you_mean(name, [*SHORT_NAMES, *known_metrics()])
                raise Mismatch("a metric (see `iosim list metrics`)", shown(name), hint)
        except Mismatch as mismatch:
            raise UsageError(f"precision {text}: {mismatch}") from None
        return cls(f"{name} within {width}", metric, half_width)

    def __post_init__(self) -> None:
        """Raise UsageError for what no number of replications can reach."""
        if self.metric not in known_metrics():
            hint = did_you_mean(self.metric, known_metrics())
            raise UsageError(
                f"precision: expected a metric, found {shown(self.metric)}"
                + (f"; {hint}" if hint else "")
            )
        if not (isinstance(self.half_width, float) and 0 < self.half_width < 1):
            raise UsageError(
                "precision: expected a half width over mean between 0 and 1, found "
                f"{shown(self.half_width)}"
            )


def simulate(
    scenario: Scenario,
    profile: Profile | str | Path | None = None,
    jobs: int | None = 1,
    precision: Precision | str | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Results:
    """Simulate every model of `scenario` and return what came out.

    profile: what everything costs, or its name or file; by default as the scenario names it.
    jobs: processes at once; None: one a core. The results are the same to the bit.
    precision: add replications until the interval is so narrow, as `5%@p99`, up to
    `MOST_REPLICATIONS`.
    progress, watch: called after each run, `watch` with what gives the results so far.
    A run that cannot go on (a deadlock, a worker that dies) is that model's `error`. Interrupted
    by the user, it returns what has finished, marked so. Raises UsageError for arguments that
    make no sense.
    """
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise UsageError(f"jobs: expected at least 1, or None for one a core, found {shown(jobs)}")
    require_sound(scenario)
    warnings = (*check_files(scenario), *assumptions(scenario))
    files = digests(scenario)
    if isinstance(precision, str):
        precision = Precision.parse(precision)
    if profile is None:
        profile = load_profile(scenario.machine.profile, scenario.folder)
    elif not isinstance(profile, Profile):
        profile = load_profile(profile)
    outcomes: dict[Task, Outcome] = {}

    def so_far() -> Results:
        return Results(
            scenario=scenario,
            profile=profile.name,
            profile_digest=profile.sha256,
            costs=profile.costs,
            models=tuple(_result(scenario, model, outcomes) for model in wanted),
            warnings=warnings,
            files=files,
        )

    wanted = dict.fromkeys(range(len(scenario.models)), scenario.run.replications)
    interrupted = False
    runner = _Runner(scenario, profile.costs, jobs or usable_cores())
    try:
        with closing(runner):
            while tasks := [
                (model, replication)
                for replication in range(max(wanted.values()))
                for model, count in wanted.items()
                if replication < count and (model, replication) not in outcomes
            ]:
                total = len(outcomes) + len(tasks)
                for task, outcome in runner.run(tasks):
                    outcomes[task] = outcome
                    if progress is not None:
                        progress(len(outcomes), total)
                    if watch is not None:
                        watch(len(outcomes), total, so_far)
                if precision is not None:
                    wanted = {
                        model: _wanted(_result(scenario, model, outcomes), precision, count)
                        for model, count in wanted.items()
                    }
    except KeyboardInterrupt:
        interrupted = True
    results = so_far()
    if precision is not None:
        judged = tuple(_judged(model, precision) for model in results.models)
        results = replace(results, models=judged)
    return replace(results, interrupted=interrupted)


def _result(scenario: Scenario, index: int, outcomes: dict[Task, Outcome]) -> ModelResult:
    model = scenario.models[index]
    own = [outcome for (i, _), outcome in sorted(outcomes.items(), key=_by_task) if i == index]
    errors = [str(outcome) for outcome in own if isinstance(outcome, SimulationError)]
    runs = [outcome for outcome in own if isinstance(outcome, Observation)]
    records = cut_warm_up(runs, scenario.run.warm_up)
    return model_result(
        scenario, model.kind, label_of(model), records, errors[0] if errors else None
    )


def _by_task(item: tuple[Task, Outcome]) -> Task:
    return item[0]


def _wanted(result: ModelResult, precision: Precision, count: int) -> int:
    """How many replications this model should have next."""
    estimate = result.metrics.get(precision.metric)
    # What is undefined in one replication, more of them would not define.
    if result.error or estimate is None or estimate.n < count or _reached(result, precision):
        return count
    needed = replications_needed(estimate, precision.half_width)
    # Not all at once: the estimate of the spread is itself uncertain.
    more = min(max(count + 1, needed or 2 * count), 2 * count)
    return min(max(more, FEWEST_REPLICATIONS), max(count, MOST_REPLICATIONS))


def _reached(result: ModelResult, precision: Precision) -> bool:
    estimate = result.metrics.get(precision.metric)
    return (
        estimate is not None
        and FEWEST_REPLICATIONS <= estimate.n == len(result.records)
        and is_precise(estimate, precision.half_width)
    )


def _judged(result: ModelResult, precision: Precision) -> ModelResult:
    verdict: Verdict = "pass" if _reached(result, precision) else "inconclusive"
    reason = None if verdict == "pass" else _why_open(result, precision.metric)
    return replace(
        result,
        verdicts={**result.verdicts, precision.text: verdict},
        reasons={**result.reasons, **({precision.text: reason} if reason else {})},
    )


def _why_open(result: ModelResult, metric: str) -> str | None:
    estimate = result.metrics.get(metric)
    if estimate is not None and estimate.mean == 0 and estimate.n > 1:
        return "there was none in any replication, and nothing is precise relative to zero"
    return result.undefined(metric)


class _Runner:
    """Runs tasks here, or on worker processes that live until it is closed."""

    def __init__(self, scenario: Scenario, costs: Costs, jobs: int) -> None:
        self._scenario = scenario
        self._costs = costs
        self._jobs = jobs
        self._workers: Workers[Task, Outcome] = Workers(jobs, _attempt, (scenario, costs))

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Each task with its outcome, in any order."""
        tasks = list(tasks)
        if self._jobs == 1 or len(tasks) == 1:
            for task in tasks:
                yield task, _attempt(self._scenario, self._costs, task)
            return
        for task, outcome in self._workers.run(tasks):
            if isinstance(outcome, Died):
                label = label_of(self._scenario.models[task[0]])
                yield task, WorkerDied(label, task[1], str(outcome))
            else:
                yield task, outcome

    def close(self) -> None:
        """End the workers at once; after an interruption nobody wants to wait for them."""
        self._workers.close()


def _attempt(scenario: Scenario, costs: Costs, task: Task) -> Outcome:
    index, replication = task
    try:
        return observe(scenario, scenario.models[index], costs, replication)
    except SimulationError as error:
        return error
