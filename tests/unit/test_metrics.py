"""Metrics: each computed by hand from one hand-made record, each described with its unit."""

import re

import pytest
from handmade import NOTHING_ANSWERED, RECORD, histogram, record

from iosim.histogram import RELATIVE_ERROR
from iosim.machine.request import PARTS as MACHINE_PARTS
from iosim.machine.thread import CAUSES as MACHINE_CAUSES
from iosim.metrics import describe, measure_all, per, why_undefined
from iosim.metrics.cpu import CAUSES
from iosim.metrics.response_time import BEYOND, PARTS
from iosim.plugins import kinds
from iosim.record import ProcessRecord

MS = 1_000_000

BY_HAND: dict[str, float | None] = {
    # 4 answered in a window of 2 s; of 12 offered, 8 + 2 + 1 have ended,
    # of which 4 + 1 + 1 in the window.
    "throughput_per_s": 2.0,
    "offered": 12,
    "completed": 8,
    "refused": 2,
    "timed_out": 1,
    "in_flight": 1,
    "retries": 0,
    "connections_opened": 0,
    "listen_overflows": 0,
    "error_fraction": 2 / 6,
    # One of the window's 4 answers was an error.
    "failed_fraction": 0.25,
    # 100, 200, 300, 400 ns: too few for any percentile.
    "response_time_mean_ns": 250.0,
    "response_time_p50_ns": None,
    "response_time_p90_ns": None,
    "response_time_p95_ns": None,
    "response_time_p99_ns": None,
    "response_time_p99_9_ns": None,
    "response_time_max_ns": 400,
    "time_client_ns": 0.0,
    "time_network_ns": 25.0,
    "time_queue_ns": 50.0,
    "time_wake_up_ns": 12.5,
    "time_run_queue_ns": 37.5,
    "time_cpu_ns": 75.0,
    "time_lock_ns": 0.0,
    "time_device_ns": 50.0,
    # 6 and 2 switches, 20 of coroutines, 8 wake-ups, 1 migration for 4 requests, in 2 s.
    "voluntary_switches_per_request": 1.5,
    "involuntary_switches_per_request": 0.5,
    "context_switches_per_s": 4.0,
    "voluntary_switches_per_s": 3.0,
    "involuntary_switches_per_s": 1.0,
    "thread_switches_per_s": 5.0,
    "coroutine_switches_per_request": 5.0,
    "migrations_per_request": 0.25,
    "wakeups_per_request": 2.0,
    # 14 syscalls; 5 events in 2 waits; 3 reads in vain.
    "syscalls_per_request": 3.5,
    "syscalls_epoll_wait_per_request": 0.5,
    "syscalls_recvfrom_per_request": 2.0,
    "syscalls_sendto_per_request": 1.0,
    "events_per_wait": 2.5,
    "wasted_polls_per_request": 0.75,
    # Three workers answered 3, 1 and no requests; a wake-up for nothing.
    "worker_imbalance": 2.25,
    "spurious_wakeups_per_request": 0.25,
    # 4 s of cores' time, 2 s of it idle, 0.1 s stolen.
    "cpu_utilization": 0.475,
    # The main thread had a core for 1.9 s of the 2.5 s under load.
    "cpu_utilization_busiest_core": 0.75,
    "cpu_utilization_busiest_thread": 0.76,
    "cpu_utilization_core_0": 0.75,
    "cpu_utilization_core_1": 0.2,
    "cpu_time_per_request_ns": 475.0 * MS,
    "cpu_user_fraction": 0.2,
    "cpu_syscall_fraction": 0.125,
    "cpu_switch_fraction": 0.025,
    "cpu_refill_fraction": 0.025,
    "cpu_softirq_fraction": 0.05,
    "cpu_spin_fraction": 0.05,
    "cpu_idle_fraction": 0.5,
    "cpu_stolen_fraction": 0.025,
    "own_work_ns": 100 * MS,
    "own_work_fraction": 0.025,
    # 6 calls in 2 s, 3 s of service and 1 s of waiting in all, 4 places.
    "device_db_utilization": 0.375,
    "device_db_in_service": 1.5,
    "device_db_queue": 0.5,
    "device_db_calls_per_s": 3.0,
    # Held for 1.5 s of 2 s; two waits of 9 us in all, four requests.
    "interpreter_lock_utilization": 0.75,
    "interpreter_lock_waits_per_request": 0.5,
    "interpreter_lock_wait_ns": 4_500.0,
    "memory_bytes": 1_400,
    "memory_process_bytes": 1_000,
    "memory_thread_stacks_bytes": 500,
}

CONTRACT = {
    "throughput_per_s",
    "response_time_mean_ns",
    "response_time_p50_ns",
    "response_time_p95_ns",
    "response_time_p99_ns",
    "voluntary_switches_per_request",
    "involuntary_switches_per_request",
    "context_switches_per_s",
    "coroutine_switches_per_request",
    "syscalls_per_request",
    "events_per_wait",
    "wasted_polls_per_request",
    "cpu_utilization",
    "cpu_time_per_request_ns",
    "cpu_user_fraction",
    "cpu_syscall_fraction",
    "cpu_switch_fraction",
    "cpu_softirq_fraction",
    "cpu_idle_fraction",
    "memory_bytes",
    "own_work_ns",
    "offered",
    "completed",
    "refused",
    "timed_out",
    "in_flight",
}
TOLD_BESIDES = {
    "response_time_p90_ns",
    "response_time_p99_9_ns",
    "response_time_max_ns",
    "cpu_refill_fraction",
    "cpu_spin_fraction",
    "failed_fraction",
    "cpu_stolen_fraction",
    "migrations_per_request",
    "wakeups_per_request",
}

UNIT_OF_SUFFIX = {
    "_ns": {"ns"},
    "_bytes": {"bytes"},
    "_per_s": {"1/s"},
    "_per_request": {"1/request"},
    "_fraction": {"1"},
    "utilization": {"1"},
}


@pytest.mark.parametrize("name", BY_HAND)
def test_each_is_what_hand_arithmetic_gives(name: str) -> None:
    expected = BY_HAND[name]
    measured = measure_all(RECORD)[name]
    assert measured is None if expected is None else measured == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "fewest"), [("p50", 20), ("p90", 100), ("p95", 200), ("p99", 1_000), ("p99_9", 10_000)]
)
def test_a_percentile_has_ten_responses_beyond_it(name: str, fewest: int) -> None:
    metric = f"response_time_{name}_ns"
    enough = record(responses=histogram(*range(1, fewest + 1)))
    assert measure_all(enough)[metric] == pytest.approx(fewest - BEYOND, rel=RELATIVE_ERROR)
    short = record(responses=histogram(*range(1, fewest)))
    assert measure_all(short)[metric] is None
    # 2 s of window and 0.5 s of warm-up gave one too few; a little more than that would do.
    why = why_undefined(metric, short)
    assert why.startswith(f"it needs {fewest:,} responses in each replication (a run of 2.")


def test_there_are_no_others() -> None:
    assert set(measure_all(RECORD)) == set(BY_HAND)


def test_what_the_contract_names_is_there() -> None:
    assert set(BY_HAND) >= CONTRACT | TOLD_BESIDES
    fixed = {name for family in kinds("metrics").values() for name in family.NAMES}
    assert fixed >= CONTRACT | TOLD_BESIDES


@pytest.mark.parametrize("name", BY_HAND)
def test_each_is_described_with_the_unit_its_name_says(name: str) -> None:
    metric = describe(name)
    assert re.match(r"[A-Z0-9].*\.$", metric.description)
    units = [units for suffix, units in UNIT_OF_SUFFIX.items() if name.endswith(suffix)]
    if units:
        assert metric.unit in units[0]
    assert metric.unit


@pytest.mark.parametrize("family", kinds("metrics"))
def test_a_family_measures_what_it_names_and_nothing_else(family: str) -> None:
    module = kinds("metrics")[family]
    patterns = [pattern.replace("*", ".+") for pattern in getattr(module, "PATTERNS", {})]
    measured = [name for name, _ in module.measure(RECORD)]
    assert len(measured) == len(set(measured))
    assert set(module.NAMES) <= set(measured)
    for name in set(measured) - set(module.NAMES):
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name


def test_no_name_is_measured_by_two_families() -> None:
    names = [name for family in kinds("metrics").values() for name, _ in family.measure(RECORD)]
    assert len(names) == len(set(names))


def test_a_name_that_nobody_measures_has_no_description() -> None:
    for name in ("p99", "cpu_utilisation", "syscalls_read", ""):
        with pytest.raises(KeyError):
            describe(name)


def test_a_runtime_without_interpreter_lock_has_none_of_its_metrics() -> None:
    native = record(interpreter_lock=None)
    for name in (name for name in BY_HAND if name.startswith("interpreter_lock_")):
        assert measure_all(native)[name] is None
        assert why_undefined(name, native) == "this runtime has no interpreter lock"


def test_a_wait_that_was_not_made_is_not_one_that_the_server_does_not_count() -> None:
    simulated = record(waits=0, wait_events=0)
    assert measure_all(simulated)["events_per_wait"] is None
    assert why_undefined("events_per_wait", simulated) == "no such call was made"
    measured = record(waits=0, wait_events=0, process=ProcessRecord(1, 1_000, 500, 500))
    assert why_undefined("events_per_wait", measured) == "the server counts no such call"


def test_the_causes_of_cpu_time_add_up_to_one() -> None:
    metrics = measure_all(RECORD)
    values = [metrics[f"cpu_{cause}_fraction"] for cause in CAUSES]
    assert sum(value for value in values if value is not None) == pytest.approx(1, abs=1e-12)
    assert set(CAUSES) == set(MACHINE_CAUSES)
    names = ("cpu_utilization", "cpu_idle_fraction", "cpu_stolen_fraction")
    busy, idle, stolen = (metrics[name] for name in names)
    assert busy is not None and idle is not None and stolen is not None
    assert busy + idle + stolen == pytest.approx(1, abs=1e-12)


def test_the_parts_of_a_response_add_up_to_it() -> None:
    metrics = measure_all(RECORD)
    values = [metrics[f"time_{part}_ns"] for part in PARTS]
    total = sum(value for value in values if value is not None)
    assert total == metrics["response_time_mean_ns"]
    assert set(PARTS) == set(MACHINE_PARTS)


def test_a_mean_over_nothing_does_not_exist() -> None:
    metrics = measure_all(NOTHING_ANSWERED)
    none = {name for name, value in metrics.items() if value is None}
    assert none == {
        name
        for name in metrics
        if name.endswith("_per_request")
        or name.startswith(("response_time_", "time_"))
        or name in ("cpu_time_per_request_ns", "events_per_wait", "failed_fraction")
    }
    # Nothing answered in 2 s is a throughput, of zero.
    assert metrics["throughput_per_s"] == 0
    assert metrics["error_fraction"] == 1
    assert metrics["cpu_utilization"] == pytest.approx(0.475)


def test_no_window_has_no_rates() -> None:
    cores = tuple(dict.fromkeys(core, 0) for core in RECORD.cores_ns)
    metrics = measure_all(record(window_ns=0, cores_ns=cores))
    for name in metrics:
        of_requests = ("error_fraction", "failed_fraction")
        if name.endswith(("_per_s", "_fraction", "utilization")) and name not in of_requests:
            assert metrics[name] is None, name


def test_nobody_failed_and_nobody_came() -> None:
    fates = {"answered": 0, "refused_in_window": 0, "timed_out_in_window": 0}
    assert measure_all(record(**fates))["error_fraction"] is None
    assert measure_all(record(**{**fates, "answered": 3}))["error_fraction"] == 0


def test_an_amount_for_each_of_many() -> None:
    assert per(3, 2) == 1.5
    assert per(0, 2) == 0
    assert per(3, 0) is None
