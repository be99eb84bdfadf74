"""When a run is disturbed, on numbers made up for it; and what is said then."""

from dataclasses import replace

import pytest
from handmade_record import RECORD

from iosim.real.disturbance import (
    CoreTimes,
    core_times,
    excesses,
    least_disturbed,
    of_record,
    warnings,
)
from iosim.record import Interference, Record

S = 1_000_000_000
CALM = Interference(
    cores_ns=S,
    stolen_ns=0,
    others_ns=0,
    late_p50_ns=1_000,
    late_p99_ns=5_000,
    late_max_ns=9_000,
    marks_late_ns=0,
    busy_fraction=0.3,
)
P50_NS, P99_NS = 1_000_000, 4_000_000


def found(**changed: float) -> dict[str, float]:
    return excesses(replace(CALM, **changed), S, P50_NS, P99_NS)  # type: ignore[arg-type]


def record(**changed: float) -> Record:
    process = RECORD.process
    assert process is not None
    interference = replace(CALM, **changed)  # type: ignore[arg-type]
    return replace(RECORD, process=replace(process, interference=interference))


def test_a_calm_run_is_not_disturbed() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("name", "below", "above"),
    [
        ("stolen_ns", 0.03 * S, 0.031 * S),  # three ticks of 10 ms: more than 2%
        ("others_ns", 0.05 * S, 0.051 * S),
        ("busy_fraction", 0.9, 0.91),
        ("late_p50_ns", 100_000, 101_000),
        ("late_p99_ns", 2_000_000, 2_000_001),
        ("marks_late_ns", 50_000_000, 50_000_001),
    ],
)
def test_each_limit(name: str, below: float, above: float) -> None:
    assert found(**{name: below}) == {}
    ((_, multiple),) = found(**{name: above}).items()
    assert 1 < multiple < 1.1


def test_of_a_long_run_the_share_counts_and_not_the_ticks() -> None:
    long = replace(CALM, cores_ns=100 * S)
    assert excesses(replace(long, stolen_ns=2 * S), 100 * S, P50_NS, P99_NS) == {}
    beyond = excesses(replace(long, stolen_ns=3 * S), 100 * S, P50_NS, P99_NS)
    assert beyond == {"stolen": pytest.approx(1.5)}


def test_lateness_of_any_program_is_none() -> None:
    assert excesses(replace(CALM, late_p50_ns=20_000), S, 1_000, 1_000) == {}


def test_without_answers_lateness_cannot_be_judged() -> None:
    assert excesses(replace(CALM, late_p50_ns=S), S, None, None) == {}


def test_the_least_disturbed_of_several_is_kept() -> None:
    worse, bad, last = record(others_ns=S), record(others_ns=S / 2), record(others_ns=S / 2)
    assert least_disturbed([worse, bad, last]) is last
    assert least_disturbed([record(stolen_ns=S), calm := record(), worse]) is calm


def test_a_simulated_run_is_never_disturbed() -> None:
    assert of_record(replace(RECORD, process=None)) == {}


def test_the_warning_says_what_and_how_much() -> None:
    calm = record()
    (told,) = warnings(
        [record(stolen_ns=S / 4, attempts=4), calm, record(others_ns=S / 2, attempts=4)]
    )
    assert told == (
        "disturbed in 2 of 3 replications, though repeated 3 times: the host took up to 25.0% of "
        "its cores' time, other processes had up to 50.0% of its cores' time"
    )
    assert warnings([calm, calm]) == []


def test_a_generator_at_its_limit_is_named_as_the_bottleneck() -> None:
    (told,) = warnings([record(busy_fraction=0.97)])
    assert told == (
        "disturbed in 1 of 1 replications: the clients' process was busy up to 97.0% of the time; "
        "the clients' process was the bottleneck"
    )


def test_core_times_are_those_of_the_cores_asked_for() -> None:
    stat = (
        "cpu  100 1 20 1000 30 0 3 7 0 0\n"
        "cpu0 60 0 10 400 10 0 1 2 0 0\n"
        "cpu1 40 1 10 600 20 0 2 5 0 0\n"
        "cpu10 9 9 9 9000 9 9 9 9 0 0\nintr 1 2 3\n"
    )
    ms = 1_000_000
    assert core_times([0], stat) == CoreTimes(4100 * ms, 20 * ms)
    assert core_times([0, 1], stat) == CoreTimes(10300 * ms, 70 * ms)
    assert core_times([1], stat).since(core_times([0], stat)) == CoreTimes(2100 * ms, 30 * ms)
    assert core_times([0]).idle_ns >= 0
