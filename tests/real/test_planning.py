"""What of a scenario can be measured here, on which cores, with which programs."""

import os
from pathlib import Path
from typing import Any

import pytest

from iosim.choice import Chosen
from iosim.errors import MeasurementError, UsageError
from iosim.planning import (
    check_measurable,
    place,
    plan_of,
    programs_for,
    read_cores,
    shortened,
    twins,
    usual_load,
)
from iosim.plugins import kinds
from iosim.scenario import Scenario, from_data
from iosim.schedule import schedule_of

MS = 1_000_000


def scenario(**parts: Any) -> Scenario:
    data: dict[str, Any] = {
        "server": {"handler": [{"cpu": "10us"}]},
        "workload": {"open": {"rate": "1k/s", "connections": {"total": 4}}},
        "models": ["epoll"],
        "run": {"duration": "100ms"},
    }
    return from_data(data | parts)


def test_cores_are_shared_out() -> None:
    here = sorted(os.sched_getaffinity(0))
    if len(here) > 1:
        found = place(1)
        assert (found.server, found.clients) == ((here[0],), (here[1],))
        assert place(1, clients=[here[0]]).server == (here[1],)
        with pytest.raises(UsageError, match="either the server's or the clients'"):
            place(1, server=[here[0]], clients=[here[0]])
    with pytest.raises(UsageError, match=f"machine.cores={max(1, len(here) - 1)}"):
        place(len(here))
    with pytest.raises(UsageError, match="server cores"):
        place(1, server=[999])


@pytest.mark.parametrize(
    ("text", "cores"), [("0", (0,)), ("0,2-3", (0, 2, 3)), (" 1 - 2 , 1", (1, 2)), ("3-1", ())]
)
def test_cores_as_text(text: str, cores: tuple[int, ...]) -> None:
    assert read_cores(text) == cores


@pytest.mark.parametrize("text", ["", "a", "1,", "-1", "1-", "1 2"])
def test_cores_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="expected cores such as 0,2-3"):
        read_cores(text)


def test_a_network_cannot_be_measured() -> None:
    with pytest.raises(UsageError, match="--set machine.network=loopback"):
        check_measurable(scenario(machine={"network": {"nic": {"latency": "20us"}}}))


def test_what_the_machine_has_of_its_own_is_told() -> None:
    noisy = scenario(machine={"host_noise": {"stolen": {}}, "scheduler": "fifo"})
    told = " ".join(check_measurable(noisy))
    assert "machine.host_noise is only simulated" in told
    assert "machine.scheduler: fifo is only simulated" in told
    assert check_measurable(scenario(machine={"backlog": 1})) == ()


def test_more_connections_than_open_files_are_refused() -> None:
    many = {"open": {"rate": "1k/s", "connections": {"total": 1_000_000}}}
    with pytest.raises(UsageError, match=r"1,000,000 connections need .* \(ulimit -Hn\)"):
        check_measurable(scenario(workload=many, machine={"descriptors": 2_000_000}))


def test_an_unknown_twin_is_told_with_those_there_are() -> None:
    goroutine = Chosen("goroutine", kinds("io_models")["goroutine"].Options())
    with pytest.raises(
        MeasurementError, match="no native server of the I/O model goroutine.*epoll"
    ):
        programs_for(scenario(), goroutine, "python")


def test_every_twin_is_an_io_model() -> None:
    for runtime in ("cpython", "native"):
        assert {"blocking", "epoll", "threads", "coroutines"} <= set(twins(runtime))
        assert set(twins(runtime)) <= set(kinds("io_models"))


def test_without_a_compiler_the_other_runtime_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native = scenario()
    with pytest.raises(MeasurementError, match="--set machine.runtime=cpython"):
        programs_for(native, native.models[0], "python")
    cpython = scenario(machine={"runtime": "cpython"})
    with pytest.raises(MeasurementError, match="--load python"):
        programs_for(cpython, cpython.models[0], "native")
    assert usual_load() == "python"
    assert "iosim.real.serve" in programs_for(cpython, cpython.models[0], "python").server


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="it needs two cores")
def test_a_shorter_plan_has_the_first_requests() -> None:
    long = scenario(run={"duration": "100ms", "warm_up": "50ms"})
    schedule = schedule_of(long, 0)
    plan = plan_of(long, long.models[0], schedule, place(1))
    assert shortened(plan, schedule, 100 * MS) == (plan, schedule.table)
    short, table = shortened(plan, schedule, 40 * MS)
    assert short.duration_ns == 40 * MS
    assert short.warm_up_ns == 4 * MS
    assert short.rows * short.columns == len(table)
    assert 0 < short.rows < schedule.rows
    assert max(table[:: short.columns]) < 40 * MS <= schedule.column(0)[short.rows]


def test_each_class_of_requests_has_its_own_steps() -> None:
    classes = {
        "get": {"weight": 9, "handler": [{"cpu": "10us"}], "request": "64B"},
        "find": {"weight": 1, "handler": [{"call": "db"}, {"sleep": "1us"}], "reply": "9KiB"},
    }
    of_two = scenario(server={"classes": classes}, devices={"db": {"remote": {"latency": "100us"}}})
    schedule = schedule_of(of_two, 0)
    rows = [schedule.table[i : i + 7] for i in range(0, len(schedule.table), 7)]
    by_class = {
        number: {
            tuple(row[2:]) for row, its in zip(rows, schedule.classes, strict=True) if its == number
        }
        for number in (0, 1)
    }
    assert by_class == {0: {(64, 1024, 10_000, -2, -2)}, 1: {(128, 9216, -2, 200_000, 1_000)}}
    assert plan_of(of_two, of_two.models[0], schedule, place(1)).columns == 7
