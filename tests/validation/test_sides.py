"""One side of a cell: what is kept of a result, and how it survives a file."""

import json
import os
from dataclasses import replace

import pytest
from cases import REFERENCE, scenario, side

from iosim.record import Interference, ProcessRecord, Record
from iosim.results import model_result
from iosim.simulation import simulate
from iosim.validation.sides import Side, measured, of_model, simulated


def test_both_kinds_of_switches_are_added_by_replication() -> None:
    found = of_model(simulate(scenario("blocking"), REFERENCE).models[0], {})
    for total, voluntary, involuntary in zip(
        found.values["switches_per_request"],
        found.values["voluntary_switches_per_request"],
        found.values["involuntary_switches_per_request"],
        strict=True,
    ):
        assert total is not None and voluntary and involuntary is not None
        assert total == voluntary + involuntary
    assert "syscalls_recvfrom_per_request" in found.values
    assert "memory_bytes" not in found.values


def with_interference(record: Record, stolen_ns: int) -> Record:
    """A record as if its run had been real, and the host had taken so much of it."""
    interference = Interference(
        cores_ns=record.window_ns,
        stolen_ns=stolen_ns,
        others_ns=0,
        late_p50_ns=0,
        late_p99_ns=0,
        late_max_ns=0,
        marks_late_ns=0,
        busy_fraction=0.0,
    )
    process = ProcessRecord(1, 1_000, 500, 500, interference=interference)
    return replace(record, process=process)


def test_what_disturbed_a_replication_is_kept_with_it() -> None:
    asked = scenario()
    records = simulate(asked, REFERENCE).models[0].records
    spoiled = [
        with_interference(record, record.window_ns // 2 if record.replication == 1 else 0)
        for record in records
    ]
    found = of_model(model_result(asked, "epoll", "epoll", spoiled), {})
    assert found.disturbed == ((), ("stolen",), ())


def test_a_side_survives_a_file() -> None:
    one = side(disturbed=((), ("others",), ()), p=(1.0, None, 2.0), q=3.0)
    assert Side.from_data(json.loads(json.dumps(one.to_data()))) == one


def test_the_simulated_side_says_its_profile() -> None:
    found = simulated(scenario(), REFERENCE)
    assert found.about == {"profile": "reference"}
    assert not any(found.disturbed)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="server and clients each need a core")
def test_the_real_side_says_machine_and_date() -> None:
    run = {"duration": "100ms", "replications": 1}
    machine = {"cores": 1, "runtime": "cpython"}
    asked = scenario(rate="500/s", run=run, machine=machine)
    found = measured(asked, load="python", attempts=1)
    assert found.error is None
    assert found.values["throughput_per_s"][0]
    assert "server on" in found.about["machine"] and found.about["date"][:2] == "20"


def test_a_syscall_that_only_the_other_side_makes_is_made_zero_times() -> None:
    counted = side(syscalls_per_request=(2.0, None, 2.0))
    assert counted.of("syscalls_futex_per_request") == (0.0, None, 0.0)
    assert side(p=1.0).of("syscalls_futex_per_request") == ()
    assert counted.of("events_per_wait") == ()
