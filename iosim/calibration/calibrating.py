"""`iosim calibrate`: measure this machine, fit, and write its profile.

    calibration = calibrate(quick=True)
    calibration.write(Path("here.yaml"))     # and here-measurements.csv beside it

What it does, one after the other: probes give rows (probing.py), a spinning probe what the host
takes away (noise.py), a few runs of real servers what no probe sees (light_runs.py). Then
the rows give costs (solving.py), and with these the runs give factors on some of them (macro.py).

Scope: what cannot be measured here stays as the reference has it, and is told.
Not done: probes and runs are not interleaved; a machine that changes between them is not noticed.
Validated by: tests/calibration/test_calibrating.py
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from math import log
from pathlib import Path

from iosim.calibration import light_runs, macro
from iosim.calibration.macro import InSitu, Observed
from iosim.calibration.rows import Row, to_csv
from iosim.calibration.solving import Solved, solve
from iosim.calibration.writing import calibrated, to_yaml
from iosim.errors import MeasurementError, UsageError
from iosim.host_noise import MILLION, HostNoise
from iosim.machine.costs import Table
from iosim.profile import Profile, assembled, load

BASE = "reference"
STEPS = 1_000
"""Progress is told out of so many."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Calibration:
    """A profile of this machine, and what it was worked out from.

    `skipped`: what could not be measured, and why. `interrupted`: before all was measured.
    """

    profile: Profile
    rows: tuple[Row, ...]
    solved: Solved
    in_situ: InSitu
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    interrupted: bool = False

    def write(self, path: Path) -> Path:
        """Write the profile to `path`, and its rows to a file beside it, which is returned.

        Raises UsageError.
        """
        from iosim.report.export import write_atomically

        beside = path.with_name(f"{path.stem}-measurements.csv")
        named = replace(self.profile, name=path.stem, measurements=beside.name)
        write_atomically(beside, to_csv(self.rows))
        write_atomically(path, to_yaml(named))
        return beside


def calibrate(quick: bool = False, progress: Progress | None = None) -> Calibration:
    """Measure this machine for some minutes, or less than one if `quick`, and fit its costs.

    Interrupted by the user while real servers run, it fits what has been measured, marked so;
    before that KeyboardInterrupt goes on. Raises UsageError if nothing can be measured here.
    """
    from iosim.calibration.probing import probe

    told = _Stages(progress)
    probed = probe(quick, progress=told.stage(500))
    told.stage(100)
    noise, skipped, heard = _noise(quick)
    effort = light_runs.QUICK if quick else light_runs.FULL
    runs = light_runs.observe(effort, told.counting(300, light_runs.total(effort)))
    found = fitted(probed.rows, runs.observed, noise, progress=told.counting(100, 40))
    return replace(
        found,
        skipped={**probed.skipped, **skipped, **runs.skipped},
        warnings=(*probed.warnings, *heard, *runs.warnings, *found.warnings),
        interrupted=runs.interrupted,
    )


def _noise(quick: bool) -> tuple[HostNoise | None, dict[str, str], list[str]]:
    """What the host takes away, or why that is not known; and why not to believe it."""
    from iosim.calibration import noise

    try:
        found = noise.record(quick)
    except MeasurementError as error:
        return None, {"host noise": str(error)}, []
    if not found.lengths_ns or not found.gaps_ns:
        return None, {}, []  # nothing was stolen: the reference's costs of it stay
    length_ns, gap_ns = replayable(found.lengths_ns), replayable(found.gaps_ns)
    heard = HostNoise(length_ns, gap_ns, round(found.share, 6), found.stationary)
    return heard, {}, noise.warnings(found)


def replayable(quantiles: Iterable[tuple[float, int]]) -> Table:
    """Quantiles in [0, 1] as a profile has them: in parts per million, each once, from 0 to 1."""
    points = {round(level * MILLION): ns for level, ns in quantiles}
    first, last = next(iter(points.values())), next(reversed(points.values()))
    return tuple(sorted({0: first, MILLION: last, **points}.items()))


def fitted(
    rows: Iterable[Row],
    observed: Iterable[Observed] = (),
    noise: HostNoise | None = None,
    base: Profile | None = None,
    progress: Callable[[], None] | None = None,
) -> Calibration:
    """The costs with which rows and runs come out. Raises UsageError if no row is known."""
    from iosim.real import this_machine

    base = base or load(BASE)
    rows, observed = tuple(rows), tuple(observed)
    solved = solve(base, rows)
    if not solved.measured:
        raise UsageError(
            f"none of {len(rows)} measured rows is one that the profile {base.name} knows"
        )
    by_rows = calibrated(base, solved, InSitu(), noise)
    description = "What iosim calibrate has measured and fitted on this machine."
    profile = assembled(
        name="calibrated",
        description=description,
        machine=this_machine.one_line(this_machine.describe()),
        date=date.today().isoformat(),
        entries=by_rows,
        noise=noise,
    )
    in_situ = macro.fit(profile, observed, progress=progress)
    profile = assembled(
        name=profile.name,
        description=description,
        machine=profile.machine,
        date=profile.date,
        entries=calibrated(base, solved, in_situ, noise),
        noise=noise,
        fitted_on=in_situ.runs,
    )
    return Calibration(profile, rows, solved, in_situ, warnings=tuple(doubts(solved, in_situ)))


DOUBTFUL = 3.0
"""Birge's ratio from which on a fit is told to be bad."""
UNBELIEVABLE = 3.0
"""Prior widths from which on a factor is told to be strange."""


def doubts(solved: Solved, in_situ: InSitu) -> Iterable[str]:
    """Why not to believe what has been fitted."""
    if not in_situ.runs:
        yield "no real server was run undisturbed: nothing tells what costs are inside one"
    for factor in in_situ.factors:
        if abs(log(factor.factor)) > UNBELIEVABLE * factor.parameter.width:
            yield (
                f"{factor.parameter.name}: a factor of {factor.factor:.3g} inside a running server "
                "is not to be believed: something else is in these runs"
            )
    if solved.birge > DOUBTFUL:
        worst = max(solved.misfit, key=lambda row: abs(solved.misfit[row]))
        yield (
            f"the measured rows contradict their sums {solved.birge:.1f} times as much as they are "
            f"uncertain, most of all {worst} ({100 * solved.misfit[worst]:+.0f}%): the errors are "
            "wider by that"
        )
    if in_situ.birge > DOUBTFUL:
        worst_run = max(in_situ.misfit, key=lambda key: abs(in_situ.misfit[key]))
        yield (
            f"the simulated runs differ from the real ones {in_situ.birge:.1f} times as much as "
            f"these are uncertain, most of all {' of '.join(reversed(worst_run))} "
            f"({100 * in_situ.misfit[worst_run]:+.0f}%): the errors are wider by that"
        )


class _Stages:
    """One progress for several stages, each a part of `STEPS`."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._begun = 0
        self._share = 0

    def stage(self, share: int) -> Progress:
        """The next stage, of `share` steps."""
        self._begun += self._share
        self._share = share
        begun = self._begun

        def tell(done: int, total: int) -> None:
            if self._progress is not None:
                self._progress(begun + min(share, share * done // max(1, total)), STEPS)

        tell(0, 1)
        return tell

    def counting(self, share: int, total: int) -> Callable[[], None]:
        """The same for a stage that tells each of about `total` steps by a call."""
        tell = self.stage(share)
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            tell(done, total)

        return count
