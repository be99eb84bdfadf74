"""Passes, what is skipped, and when the machine is too noisy to be believed."""

from collections.abc import Mapping, Sequence
from random import Random

import pytest

from iosim.calibration import probing, trust
from iosim.calibration.probes import needs
from iosim.calibration.probes.registry import Figure, Place, Probe
from iosim.calibration.rows import Row, of_samples
from iosim.errors import MeasurementError
from iosim.real.disturbance import CoreTimes

PROBES = [
    Probe("py", "syscalls", "first", (), (("a", ""), ("b", "x")), 40, frozenset(), True),
    Probe("py", "syscalls", "slow", (9,), (("c", "n=9"),), 40, frozenset(), False),
    Probe("py", "threads", "fails", (), (("d", ""),), 40, frozenset(), True),
    Probe("py", "threads", "lacks", (), (("e", ""),), 40, frozenset({"two cores"}), True),
]


class Machine:
    """Stands for the real one: what probes give there, how fast it is, who else is on it."""

    def __init__(self) -> None:
        self.random = Random(7)
        self.runs: list[tuple[str, int]] = []
        self.factors = [1.0]
        """How slow each probe in turn finds it; the last one goes on for ever."""
        self.spread = 2.0
        self.loops_ns = [1000]
        self.ticks = {"user": 0, "idle": 0, "steal": 0}

    def run(self, probe: Probe, place: Place) -> Mapping[Figure, Sequence[float]]:
        if probe.function == "fails":
            raise MeasurementError("the kernel refuses")
        self.runs.append((probe.function, place.samples))
        factor = self.factors.pop(0) if len(self.factors) > 1 else self.factors[0]
        return {
            figure: [factor * self.random.gauss(100, self.spread) for _ in range(place.samples)]
            for figure in probe.figures
        }

    def loop_ns(self) -> int:
        self.loops_ns.append(self.loops_ns.pop(0))
        return round(self.loops_ns[-1] * self.random.gauss(1, 0.01))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(probing, "catalogue", lambda: PROBES)
    monkeypatch.setattr(probing, "run", machine.run)
    monkeypatch.setattr(probing, "reference_loop_ns", machine.loop_ns)
    monkeypatch.setattr(needs, "usable_cpus", lambda: [0])
    monkeypatch.setattr(trust, "of_others", lambda _: [])
    return machine


def test_passes_are_interleaved_and_numbered(machine: Machine) -> None:
    told: list[tuple[int, int]] = []
    found = probing.probe(passes=2, progress=lambda done, total: told.append((done, total)))
    assert machine.runs == [("first", 40), ("slow", 40)] * 2
    assert [(row.number, row.key) for row in found.rows] == [
        (number, key) for number in (1, 2) for key in ("py a", "py b x", "py c n=9")
    ]
    assert {row.count for row in found.rows} == {40}
    assert told == [(i, 8) for i in range(1, 9)]


def test_a_quick_one_leaves_out_what_is_slow(machine: Machine) -> None:
    found = probing.probe(quick=True)
    assert machine.runs == [("first", 10)] * probing.QUICK_PASSES
    assert {row.key for row in found.rows} == {"py a", "py b x"}


def test_what_is_not_possible_is_skipped_with_its_reason(machine: Machine) -> None:
    assert probing.probe(passes=2).skipped == {
        "py d": "the kernel refuses",
        "py e": "it needs two cores, and may use one",
    }


def test_a_quiet_machine_is_not_warned_of(machine: Machine) -> None:
    found = probing.probe(passes=3)
    assert found.warnings == ()
    assert found.speeds == {}


def test_a_pass_that_was_slower_than_another_is_noise(machine: Machine) -> None:
    machine.factors = [1, 1, 1.6]
    (warning,) = probing.probe(passes=2).warnings
    assert warning.startswith("too noisy to trust: between the passes half of the figures moved")
    assert "1.6" in warning


def test_one_pass_cannot_tell_how_the_machine_moves(machine: Machine) -> None:
    assert probing.probe(passes=1).warnings == (
        "one pass: how much the machine moves from one to the next is not known",
    )


def test_two_speeds_of_a_core_are_told(machine: Machine) -> None:
    machine.loops_ns = [1000, 1000, 1900]
    found = probing.probe(passes=6)
    assert found.speeds[0].slowdown == pytest.approx(1.9, rel=0.02)
    assert any("core 0 ran at two speeds, a factor of 1.9 apart" in text for text in found.warnings)


def test_many_outliers_are_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = machine.run

    def interrupted(probe: Probe, place: Place) -> Mapping[Figure, Sequence[float]]:
        return {
            figure: [sample * (20 if i % 10 == 0 else 1) for i, sample in enumerate(samples)]
            for figure, samples in plain(probe, place).items()
        }

    monkeypatch.setattr(probing, "run", interrupted)
    (warning,) = probing.probe(passes=2).warnings
    assert warning == "10.0% of the samples are outliers: something cuts in all the time"


def row(number: int, name: str, samples: Sequence[float]) -> Row:
    return of_samples(number, "c", name, "", samples)


def test_passes_are_held_against_each_other_figure_by_figure() -> None:
    rows = [row(1, "a", [1, 2, 3]), row(2, "a", [4, 5, 6]), row(1, "b", [1, 2, 3])]
    assert trust.passes_differ(rows) == {"c a": 2.5}


def test_outliers_are_beyond_the_outer_fences() -> None:
    samples = [10.0, 11.0, 12.0, 13.0, 14.0]
    found = row(1, "a", samples)
    assert (found.q1, found.q3) == (11, 13)
    assert trust.outliers(found, [5.0, 19.0]) == 0
    assert trust.outliers(found, [4.9, 19.1]) == 2


@pytest.mark.parametrize(
    ("idle_ns", "stolen_ns", "own_ns", "told"),
    [
        (700, 10, 270, []),
        (700, 50, 240, ["too noisy to trust: the host took 5.00% of its cores' time"]),
        (600, 0, 250, ["too noisy to trust: other processes had 15.0% of its cores' time"]),
    ],
)
def test_what_others_took_is_told(
    idle_ns: int, stolen_ns: int, own_ns: int, told: list[str]
) -> None:
    watch = trust.Watch(CoreTimes(idle_ns, stolen_ns), own_ns, wall_ns=500, cpus=2)
    assert trust.of_others(watch) == told
