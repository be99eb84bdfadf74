"""Whole measurements: what is counted, told and left behind. Nothing here is about time."""

import json
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

import iosim
from iosim import measurement
from iosim.errors import UsageError
from iosim.planning import twins
from iosim.real import run as real_run
from iosim.real import syscalls, tracing
from iosim.real.child import Child, Ended
from iosim.scenario import Scenario, from_data, label_of, load

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="server and clients each need a core"
)

ROOT = Path(__file__).parents[2]


def scenario(**parts: Any) -> Scenario:
    data: dict[str, Any] = {
        "machine": {"runtime": "cpython"},
        "server": {"handler": [{"cpu": "10us"}]},
        "workload": {"open": {"rate": "500/s", "connections": {"total": 4}}},
        "models": ["epoll"],
        "run": {"duration": "100ms", "replications": 1},
    }
    return from_data(data | parts)


def measure(wanted: Scenario, **how: Any) -> iosim.Results:
    """Without what takes its time and is not what the test is about."""
    return iosim.measure(wanted, **{"attempts": 1, "count_syscalls": False, **how})


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary folders are in one where nobody else has any."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@contextmanager
def nothing_left() -> Iterator[None]:
    """No child, no folder that was not there before."""

    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    def folders() -> set[Path]:
        return set(Path(tempfile.gettempdir()).glob("iosim-*"))

    others, were = folders(), children()
    try:
        yield
    finally:
        assert children() <= were
        assert folders() <= others


# ----------------------------------------------------------------------------- counts


@pytest.mark.parametrize("runtime", ["cpython", "native"])
def test_every_request_is_accounted_for(runtime: str) -> None:
    with nothing_left():
        results = measure(scenario(machine={"runtime": runtime}, models=["epoll", "blocking"]))
    for model in results:
        assert model.error is None
        (record,) = model.records
        fates = record.completed + record.refused + record.timed_out + record.in_flight
        assert record.offered == fates > 20
        assert record.responses.count == record.answered <= record.completed
        assert record.process is not None
        assert record.process.user_ns >= 0 and record.process.cpu_ns > 0
        assert len(record.requests) == record.answered
        assert record.warm_up_ns >= 10_000_000
    threads = [
        record.process.threads for record in (m.records[0] for m in results) if record.process
    ]
    assert threads[1] >= threads[0] + 4  # one for each connection


def test_classes_of_requests_have_response_times_of_their_own() -> None:
    classes = {
        "quick": {"weight": 3, "handler": [{"cpu": "1us"}]},
        "slow": {"weight": 1, "handler": [{"call": "db"}, {"cpu": "1us"}], "reply": "2KiB"},
    }
    devices = {"db": {"remote": {"latency": "2ms"}}}
    for runtime in ("cpython", "native"):
        wanted = scenario(
            machine={"runtime": runtime},
            server={"classes": classes},
            devices=devices,
            models=["blocking", "epoll", "coroutine", "thread_pool_callbacks", "aio"],
            run={"duration": "200ms", "replications": 1},
        )
        for model in measure(wanted):
            assert model.error is None
            (record,) = model.records
            quick, slow = record.classes["quick"], record.classes["slow"]
            assert quick.completed + slow.completed == record.completed
            assert quick.responses.count + slow.responses.count == record.answered
            if slow.responses.count:
                assert slow.responses.min_ns >= 2_000_000
            assert {request.class_name for request in record.requests} <= {"quick", "slow"}


def test_items_are_made_and_used() -> None:
    work = {"produce": "50us", "consume": "50us"}
    for runtime in ("cpython", "native"):
        wanted = scenario(
            machine={"runtime": runtime},
            workload={"producer_consumer": work},
            models=["threads", "coroutines"],
        )
        for model in measure(wanted):
            assert model.error is None
            (record,) = model.records
            assert record.offered == record.completed + record.in_flight > 0
            assert set(record.order) == {"P", "C"}


def test_a_deadlock_is_that_model_s_error(monkeypatch: pytest.MonkeyPatch) -> None:
    mark, marks = real_run._mark, iter(range(100))

    def locked(*args: Any) -> Any:
        if next(marks) == 0:
            raise Ended("deadlock", "a holds A, waits for B (held by b); b holds B, waits for A")
        return mark(*args)

    monkeypatch.setattr(real_run, "_mark", locked)
    wanted = scenario(
        workload={"producer_consumer": {"produce": "50us", "consume": "50us"}},
        models=["threads", "coroutines"],
    )
    with nothing_left():
        threads, coroutines = measure(wanted)
    assert threads.error is not None
    assert threads.error.startswith("threads: deadlock: a holds A, waits for B")
    assert coroutines.error is None and coroutines.records


def test_syscalls_are_counted_or_it_is_said_why_not() -> None:
    wanted = scenario(run={"duration": "400ms", "replications": 1})
    (model,) = measure(wanted, count_syscalls=True)
    (record,) = model.records
    assert record.process is not None
    if record.syscalls is None:
        assert record.process.no_syscalls.startswith("the syscalls were not counted: ")
        assert "syscalls were not counted" in str(model.undefined("syscalls_per_request"))
    else:
        assert record.process.counted_by in ("perf", "strace")
        assert record.syscalls["sendto"] > 0


def test_a_trace_is_written_or_it_is_said_why_not(tmp_path: Path) -> None:
    path = tmp_path / "trace.pftrace"
    for _ in range(3):  # on a busy machine perf may begin when the load is over
        with nothing_left():
            results = measure(scenario(), trace=path)
        if not results.warnings:
            break
    if not tracing.known_to_perf():
        assert all(warning.startswith("no trace of ") for warning in results.warnings)
        return
    assert not results.warnings
    trace = protos.Trace.FromString(path.read_bytes())
    rows = [packet.track_descriptor for packet in trace.packet]
    (server,) = {row.uuid for row in rows if row.process.process_name == "epoll"}
    threads = {row.uuid for row in rows if row.HasField("thread") and row.parent_uuid == server}
    events = [packet.track_event for packet in trace.packet]
    calls = Counter(event.name for event in events if event.track_uuid in threads)
    assert calls["epoll_wait"] > 10 and calls["sendto"] > 10
    assert sum(packet.HasField("ftrace_events") for packet in trace.packet) > 10


def test_each_model_has_a_trace_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @contextmanager
    def tracer(cpus: Any, pid: int) -> Iterator[Any]:
        yield lambda until_ns: tracing.Traced(pid, "what perf says\n")

    monkeypatch.setattr(tracing, "tracer", tracer)
    wanted = scenario(models=["epoll", {"epoll": {"trigger": "edge", "label": "an/edge"}}])
    measure(wanted, trace=tmp_path / "trace.txt")
    names = sorted(path.name for path in tmp_path.glob("*.txt"))
    assert names == ["trace.an_edge.txt", "trace.epoll.txt"]
    assert (tmp_path / "trace.epoll.txt").read_text() == "what perf says\n"


def test_without_tracepoints_there_is_no_trace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tracing, "known_to_perf", frozenset)
    results = measure(scenario(), trace=tmp_path / "trace.txt")
    (warning,) = results.warnings
    assert warning == "no trace of epoll: perf has no tracepoints here (they need root)"
    assert not list(tmp_path.glob("*.txt"))


# -------------------------------------------------------------------------- repetition


def test_a_disturbed_run_is_repeated_and_then_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "of_record", lambda record: {"others": 2.0})
    (model,) = measure(scenario(), attempts=3)
    (record,) = model.records
    assert record.process is not None and record.process.interference is not None
    assert record.process.interference.attempts == 3


def test_an_undisturbed_run_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "of_record", lambda record: {})
    (model,) = measure(scenario(), attempts=4)
    (record,) = model.records
    assert record.process is not None and record.process.interference is not None
    assert record.process.interference.attempts == 1


# ---------------------------------------------------------------------------- documents


def test_the_document_is_that_of_a_simulation_and_more() -> None:
    two = {"duration": "100ms", "replications": 2}
    wanted = scenario(slo=["p50 < 10s", "errors < 100%"], run=two)
    measured = measure(wanted).to_document()
    simulated = iosim.simulate(wanted).to_document()
    assert simulated.keys() < measured.keys() == simulated.keys() | {"machine"}
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert measured["source"] == "measured"
    assert measured["profile"] is None and measured["profile_sha256"] is None
    assert measured["machine"]["kernel"] == os.uname().release
    (model,), (simulated_model,) = measured["models"], simulated["models"]
    assert model["slo"].keys() == {"p50 < 10s", "errors < 100%"}
    assert [run["replication"] for run in model["runs"]] == [0, 1]
    assert all(run["attempts"] == 1 and run["cores_ns"] > 0 for run in model["runs"])
    for name, metric in model["metrics"].items():
        assert (metric["mean"] is None) == ("reason" in metric), name
    assert "cpu_time_per_request_ns" in simulated_model["metrics"].keys() & model["metrics"].keys()


def test_the_frames_are_those_of_a_simulation() -> None:
    measured, simulated = measure(scenario()), iosim.simulate(scenario())
    for name in ("summary", "requests", "threads"):
        assert list(getattr(measured, name)) == list(getattr(simulated, name))
    assert len(measured.requests) > 0
    assert measured["epoll"].metrics["throughput_per_s"].mean is not None


# --------------------------------------------------------------------------- saturation


def test_a_saturated_scenario_has_a_user_for_each_active_connection() -> None:
    many = {"open": {"rate": "500/s", "connections": {"total": 10, "active": "50%"}, "reply": "9B"}}
    found = measurement.saturated(scenario(workload=many, slo=["p50 < 1s"]))
    assert found.workload.kind == "closed"
    assert found.workload.options.users == 5
    assert found.workload.options.connections.total == 10
    assert found.workload.options.reply == 9
    assert not found.slos


def test_saturation_is_told_with_the_rates_at_parts_of_it() -> None:
    how = {"attempts": 1, "count_syscalls": False}
    results = iosim.saturate(scenario(run={"duration": "200ms", "replications": 1}), **how)
    found = results.to_document()["saturation"]["epoll"]
    assert found["rates_per_s"] == {
        name: pytest.approx(share * found["per_s"])
        for name, share in (("20%", 0.2), ("50%", 0.5), ("80%", 0.8))
    }


def test_a_pipeline_cannot_be_saturated() -> None:
    items = scenario(
        workload={"producer_consumer": {"produce": "1us", "consume": "1us"}}, models=["threads"]
    )
    with pytest.raises(UsageError, match="always goes as fast as it can"):
        iosim.saturate(items)


# -------------------------------------------------------------------------------- errors


def test_a_model_without_a_twin_is_told_and_the_others_run() -> None:
    missing, there = measure(scenario(models=["goroutine", "epoll"]))
    assert missing.error is not None
    assert missing.error.startswith("goroutine: there is no cpython server of the I/O model")
    assert not missing.records and there.records and there.error is None


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"load": "perl"}, "load: expected native or python"),
        ({"attempts": 0}, "attempts: expected at least 1"),
        ({"server_cores": "999"}, "server cores: this process may use"),
        ({"client_cores": "x"}, "expected cores such as"),
    ],
)
def test_arguments_that_make_no_sense(how: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        measure(scenario(), **how)


def test_cores_that_this_machine_has_not() -> None:
    with pytest.raises(UsageError, match="--set machine.cores="):
        measure(scenario(machine={"cores": 256, "runtime": "cpython"}))


def test_a_server_that_is_killed_is_that_model_s_error(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = real_run._mark

    def kill(server: Child, *args: Any) -> Any:
        os.kill(server.pid, signal.SIGKILL)
        return mark(server, *args)

    monkeypatch.setattr(real_run, "_mark", kill)
    with nothing_left():
        (model,) = measure(scenario())
    assert model.error == "epoll: the server ended: by SIGKILL"


def test_interrupted_it_gives_what_has_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    mark, count = real_run._mark, iter(range(100))

    def interrupt(*args: Any) -> Any:
        if next(count) == 3:  # the second run's second
            raise KeyboardInterrupt
        return mark(*args)

    monkeypatch.setattr(real_run, "_mark", interrupt)
    with nothing_left():
        results = measure(scenario(run={"duration": "100ms", "replications": 5}))
    assert results.interrupted
    assert len(results["epoll"].records) == 1


def test_no_syscalls_where_the_second_run_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> Any:
        raise syscalls.Unavailable("nobody counts")

    monkeypatch.setattr(syscalls, "counter", refuse)
    with nothing_left():
        (model,) = measure(scenario(), count_syscalls=True)
    assert (
        model.undefined("syscalls_per_request")
        == "undefined: the syscalls were not counted: nobody counts"
    )


def test_where_nothing_was_counted_it_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def count(pid: int) -> Any:
        tried.append(pid)
        raise syscalls.NothingCounted(f"nothing, {len(tried)} times")

    monkeypatch.setattr(syscalls, "counter", count)
    with nothing_left():
        (model,) = measure(scenario(), count_syscalls=True)
    assert len(tried) == 2 * len(model.records)
    assert "not counted: nothing, 2 times" in str(model.undefined("syscalls_per_request"))


# ----------------------------------------------------------------------- shipped scenarios

SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
HERE = [
    ("run.duration", "150ms"),
    ("run.warm_up", "none"),
    ("run.replications", "1"),
    ("machine.cores", "1"),
    ("machine.network", "loopback"),
]
"""Short, yet a busy machine sends something; and on what every machine with two cores has."""


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_shipped_scenarios_run_for_real(path: Path) -> None:
    wanted = load(path, HERE)
    # The first and the last: all models together would take minutes.
    models = tuple(dict.fromkeys((wanted.models[0], wanted.models[-1])))
    wanted = wanted.model_copy(update={"models": models})
    for model, found in zip(models, measure(wanted), strict=True):
        label = label_of(model)
        if model.kind not in twins(wanted.machine.runtime):
            assert f"no {wanted.machine.runtime} server of" in str(found.error)
        elif found.error is not None:
            # What a machine may lack, and what the scenario is to show.
            lacks = ("needs the package", "deadlock: ", "io_uring", "needs the native load")
            assert any(word in found.error for word in lacks), f"{label}: {found.error}"
        else:
            (record,) = found.records
            assert record.completed + record.in_flight + record.refused + record.timed_out
