"""A sweep: one scenario at many points, kept as they come.

    sweep("scenarios/quickstart.yaml", ["machine.cores=1..8"], folder="out").table

Points that the folder holds already are not run again: an interrupted sweep goes on where it
was, and of a changed one only what is new is run. A point that fails is recorded with its error;
one whose process has ended (killed, out of memory) is tried once more when all others are done.

Scope: every point has the scenario's seed, and so meets the same arrivals and demands.
Not done: comparing points, or choosing among them.
Validated by: tests/studies/test_sweep.py
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from weakref import finalize

from iosim import __version__
from iosim.errors import UsageError, shown
from iosim.profile import Profile
from iosim.scenario import Scenario, load
from iosim.studies.combinations import Design
from iosim.studies.grid import Axis, parse_all
from iosim.studies.points import PROFILE, Base, Point, point
from iosim.studies.running import Here, Local, Outcome, Places
from iosim.studies.store import Store
from iosim.studies.swept import Progress, Standing, Sweep
from iosim.workers import usable_cores

SCHEMA_VERSION = 1
POINTS_TRIED = 1_000
"""In search of one at which the scenario makes sense."""


def sweep(
    scenario: Scenario | str | Path,
    over: Iterable[str] | Mapping[str, str | Iterable[object]],
    sample: int | None = None,
    method: str = "lhs",
    profile: Profile | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Sweep:
    """Simulate `scenario` at each combination of the values that `over` gives to its paths.

    over: texts such as "machine.cores=1..16", or {"machine.cores": [1, 2, 4]}.
    sample: so many points drawn from the axes instead of all, by `method`: lhs or sobol.
    profile: what everything costs; None: as the scenario names it.
    jobs: processes at once; None: one a core; 1: none but this one.
    dask: the address of a Dask scheduler, whose workers are used instead. Whoever simulates, the
    results are the same to the bit.
    folder: the results directory; None: one that goes with what is returned.
    force: lift the scenario's limits on size.
    Interrupted by the user, it returns what has finished, marked so. Raises UsageError, also if
    there is no point at which the scenario makes sense; ScenarioError.
    """
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise UsageError(f"jobs: expected at least 1, or None for one a core, found {shown(jobs)}")
    if jobs is not None and dask is not None:
        raise UsageError("expected jobs on this machine or a Dask cluster, found both")
    if not isinstance(scenario, Scenario):
        scenario = load(scenario, force=force)
    axes = parse_all(over)
    if profile is not None and PROFILE in [axis.path for axis in axes]:
        raise UsageError(f"--over {PROFILE}: expected no change of costs besides, found one")
    design = Design(axes, sample, method, scenario.run.seed)
    base = Base(scenario, profile, force)
    _require_sense(base, design)
    if folder is not None:
        return _swept(Path(folder), base, design, jobs, dask, progress)
    temporary = Path(mkdtemp(prefix="iosim-sweep-"))
    try:
        swept = _swept(temporary, base, design, jobs, dask, progress)
    except BaseException:
        rmtree(temporary)
        raise
    finalize(swept, rmtree, temporary, ignore_errors=True)
    return swept


def default_folder(scenario: Scenario) -> Path:
    """Where a sweep of this scenario is kept if nobody says where: named after it."""
    return Path(re.sub(r"[^\w.-]+", "_", scenario.name).strip("_.") + ".sweep")


def _swept(
    folder: Path,
    base: Base,
    design: Design,
    jobs: int | None,
    dask: str | None,
    progress: Progress | None,
) -> Sweep:
    with closing(Store(folder)) as store:
        run = _Run(store, base, design, progress)
        run.plan()
        interrupted = False
        try:
            with closing(_places(jobs, dask)) as places:
                run.go(places)
        except KeyboardInterrupt:
            interrupted = True
        store.pack()
    warnings = (*design.warnings, *run.warnings)
    return Sweep(base.scenario, design.axes, folder, run.standing, interrupted, warnings)


def _require_sense(base: Base, design: Design) -> None:
    """Raise UsageError if the scenario makes sense at no point: a path is wrong then, not a value.

    What is wrong with the first point is told.
    """
    first = None
    for values in islice(design, POINTS_TRIED):
        tried = point(base, 0, _changes(design.axes, values))
        if tried.scenario is not None:
            return
        first = first or tried
    if first is not None:
        raise UsageError(f"--over {first.told}: {first.error}")


def _changes(axes: tuple[Axis, ...], values: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple(zip((axis.path for axis in axes), values, strict=True))


def _places(jobs: int | None, dask: str | None) -> Places:
    if dask is None:
        jobs = jobs or usable_cores()
        return Here() if jobs == 1 else Local(jobs)
    from iosim.studies.cluster import Cluster

    return Cluster(dask)


class _Run:
    """One sweep while it goes on."""

    def __init__(self, store: Store, base: Base, design: Design, progress: Progress | None) -> None:
        self._store = store
        self._base = base
        self._design = design
        self._progress = progress
        self.standing = Standing(done=0, failed=0, kept=0, left=len(design))
        self.warnings: tuple[str, ...] = ()

    def plan(self) -> None:
        """Write down what is swept, and each point with the hash of its content."""
        store, design = self._store, self._design
        seen: set[str] = set()
        kept = failed = 0
        with store.planning([axis.path for axis in design.axes]) as add:
            for number, values in enumerate(design):
                planned = point(self._base, number, _changes(design.axes, values))
                if planned.digest not in seen:
                    seen.add(planned.digest)
                    add(number, planned.digest, values)
                    state = store.state(planned.digest)
                    kept += state is not None
                    failed += state == "failed"
        if len(seen) < len(design):
            self.warnings = (
                f"{len(design) - len(seen):,} of {len(design):,} points are the same as others and "
                "are left out",
            )
        self._now(Standing(done=0, failed=failed, kept=kept, left=len(seen) - kept))
        scenario, profile = self._base.scenario, self._base.profile
        store.describe(
            {
                "schema_version": SCHEMA_VERSION,
                "iosim_version": __version__,
                "scenario": scenario.to_data(),
                "profile": profile.name if profile is not None else scenario.machine.profile,
                "over": {axis.path: axis.text for axis in design.axes},
                "sample": design.sample,
                "method": design.method if design.sample is not None else None,
                "points": len(seen),
            }
        )

    def go(self, places: Places) -> None:
        """Run what has no result yet; once more, what was lost with its process."""
        lost: list[Point] = []
        for each, outcome in places.run(self._missing()):
            if outcome.state == "lost":
                lost.append(each)
            else:
                self._add(each, outcome)
        for each, outcome in places.run(lost):
            self._add(each, outcome)

    def _missing(self) -> Iterator[Point]:
        for number, digest, values in self._store.planned():
            if self._store.state(digest) is None:
                yield point(self._base, number, _changes(self._design.axes, values))

    def _add(self, each: Point, outcome: Outcome) -> None:
        self._store.add(each.digest, each.told, outcome)
        now = self.standing
        failed = now.failed + (outcome.state != "done")
        self._now(Standing(now.done + 1, failed, now.kept, now.left - 1))

    def _now(self, standing: Standing) -> None:
        self.standing = standing
        if self._progress is not None:
            self._progress(self.standing)
