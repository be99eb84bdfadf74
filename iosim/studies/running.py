"""Running points: each a task for some process, which gives rows of metrics back.

    with closing(Local(2)) as places:
        for point, outcome in places.run(points): ...

A task is one point, its outcome one row for each I/O model. Nothing else passes between a study
and the processes that work for it, and no random number depends on them, so that it does not
matter which they are and how many.

Scope: this process and local ones; a Dask cluster, which runs the same tasks, is in cluster.py.
Validated by: tests/studies/test_sweep.py
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from iosim.errors import IosimError
from iosim.simulation import simulate
from iosim.studies.points import Point
from iosim.workers import Died, Workers

State = Literal["done", "failed", "lost"]
"""`failed` is so each time; `lost` is a point whose process has ended, which may do next time."""


class Estimated(NamedTuple):
    """A metric's mean over the replications, its 95% interval, and how many define it."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Row:
    """What one I/O model came to at one point."""

    model: str
    error: str | None
    warnings: tuple[str, ...]
    """What to know before trusting the numbers."""
    metrics: Mapping[str, Estimated]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a point."""

    state: State
    error: str | None
    rows: tuple[Row, ...]


class Places(Protocol):
    """Where points are run."""

    def run(self, points: Iterable[Point]) -> Iterator[tuple[Point, Outcome]]:
        """Each point with its outcome, in any order; `points` are taken as there is room."""
        ...

    def close(self) -> None:
        """Give up what is not finished, and leave nothing behind."""
        ...


def attempt(point: Point) -> Outcome:
    """Simulate a point. What goes wrong is its outcome: the other points go on."""
    if point.scenario is None:
        return Outcome("failed", point.error, ())
    try:
        results = simulate(point.scenario, point.profile)
    except IosimError as error:
        return Outcome("failed", str(error).replace("\n", "; "), ())
    except Exception as error:  # a plug-in's mistake must not cost a night's other points
        return Outcome("failed", f"{type(error).__name__}: {error}".replace("\n", "; "), ())
    if results.interrupted:
        raise KeyboardInterrupt
    rows = tuple(
        Row(
            model.label,
            model.error,
            (*results.warnings, *model.warnings),
            {
                name: Estimated(found.mean, found.low, found.high, found.n)
                for name, found in model.metrics.items()
            },
        )
        for model in results.models
    )
    errors = [row.error for row in rows if row.error]
    return Outcome("failed" if errors else "done", "; ".join(errors) or None, rows)


class Here:
    """This process, for one point after the other."""

    def run(self, points: Iterable[Point]) -> Iterator[tuple[Point, Outcome]]:
        for point in points:
            yield point, attempt(point)

    def close(self) -> None:
        pass


class Local:
    """Processes on this machine."""

    def __init__(self, jobs: int) -> None:
        self._workers: Workers[Point, Outcome] = Workers(jobs, attempt, ())

    def run(self, points: Iterable[Point]) -> Iterator[tuple[Point, Outcome]]:
        for point, outcome in self._workers.run(points):
            yield point, lost(str(outcome)) if isinstance(outcome, Died) else outcome

    def close(self) -> None:
        self._workers.close()


def lost(how: str) -> Outcome:
    """The outcome of a point whose process has ended."""
    return Outcome("lost", how, ())
