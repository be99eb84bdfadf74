"""The claims that the project started from, and six questions after them: what comes out.

Each study is a file in scenarios/studies/ whose first comment holds its question, its command and
its finding. The changes that are simulated here are those of its command.
"""

import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

import iosim
from iosim.results import ModelResult, Results
from iosim.studies.what_if import what_if

FOLDER = Path(__file__).parents[2] / "scenarios" / "studies"
STUDIES = sorted(path.stem for path in FOLDER.glob("*.yaml"))

CPU, MEAN, P99 = "cpu_time_per_request_ns", "response_time_mean_ns", "response_time_p99_ns"


def comment(name: str) -> Mapping[str, str]:
    """What the first comment says: question, command and finding."""
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()[1:]
    told = []
    for line in lines:
        if not line.startswith("#"):
            break
        told.append(line.removeprefix("#").strip().removesuffix("\\").strip())
    parts = re.split(r"\b(Question|Command|Finding): ", " ".join(told))
    return dict(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))


def changes(name: str) -> list[str]:
    """The changes of a study's command."""
    words = shlex.split(comment(name)["Command"])
    assert words[0] == "iosim" and words[2] == f"scenarios/studies/{name}.yaml"
    assert all(word == "--change" for word in words[3::2])
    return words[4::2]


@cache
def study(name: str) -> tuple[Results, ...]:
    """The baseline, and what each change of the study's command gives."""
    scenario = iosim.load(FOLDER / f"{name}.yaml")
    if not changes(name):
        return (iosim.simulate(scenario),)
    found = what_if(scenario, changes(name))
    return (found.baseline, *(change.results for change in found.changes))


def mean(model: ModelResult, metric: str) -> float:
    value = model.metrics[metric].mean
    assert value is not None
    return value


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_says_what_it_asks_and_what_it_found(name: str) -> None:
    told = comment(name)
    assert list(told) == ["Question", "Command", "Finding"]
    assert told["Question"].endswith("?")
    assert told["Finding"].endswith(".")
    assert len(STUDIES) == 12


def test_selects_cost_grows_with_descriptors_and_epolls_does_not() -> None:
    few, many = study("descriptors")
    assert mean(many["select"], CPU) > 3 * mean(few["select"], CPU)
    assert many["epoll"].values[CPU] == few["epoll"].values[CPU]


def switch_ns(label: str, without: int) -> float:
    """What a change of `coroutine_switch` takes off each switch of a model."""
    baseline, *others = study("coroutine_switch")
    counted = "coroutine_switches" if label != "blocking" else "voluntary_switches"
    switches = mean(baseline[label], f"{counted}_per_request")
    return (mean(baseline[label], CPU) - mean(others[without][label], CPU)) / switches


def test_a_switch_by_longjmp_costs_far_less_than_a_threads() -> None:
    assert 0 < switch_ns("longjmp", 0) < switch_ns("blocking", 1) / 5


@pytest.mark.xfail(reason="by swapcontext 0.37 us against 0.59: the syscall within it costs most")
def test_so_does_one_by_swapcontext() -> None:
    assert switch_ns("coroutine", 0) < switch_ns("blocking", 1) / 2


def test_what_comes_with_a_threads_switch_costs_more_than_the_switch() -> None:
    baseline, _, bare, all_of_it = study("coroutine_switch")
    assert switch_ns("blocking", 2) > 5 * switch_ns("coroutine", 0)
    whole = mean(baseline["blocking"], CPU)
    assert 0.01 < 1 - mean(bare["blocking"], CPU) / whole < 0.04
    assert 1 - mean(all_of_it["blocking"], CPU) / whole > 0.10
    own = switch_ns("coroutine", 0) * 2 / mean(baseline["coroutine"], CPU)
    assert 0.01 < own < 0.03


def test_polling_takes_the_whole_core_and_wins_while_it_is_its_own() -> None:
    for results in study("polling"):
        assert mean(results["nonblocking"], "cpu_utilization") > 0.999
        assert mean(results["nonblocking"], MEAN) < mean(results["epoll"], MEAN)
    low, _, high = study("polling")
    assert mean(low["nonblocking"], MEAN) < 0.5 * mean(low["epoll"], MEAN)
    assert mean(high["nonblocking"], MEAN) > 0.75 * mean(high["epoll"], MEAN)
    assert mean(high["nonblocking"], P99) > mean(high["epoll"], P99)


def test_asynchronous_io_lets_own_work_go_on() -> None:
    slow, fast = study("own_work")
    for results in (slow, fast):
        assert mean(results["blocking"], "own_work_fraction") == 0
        assert mean(results["aio"], MEAN) < mean(results["blocking"], MEAN)
    assert mean(slow["aio"], "own_work_fraction") > 0.85
    assert 0.4 < mean(fast["aio"], "own_work_fraction") < 0.6


def test_preemptive_order_varies_and_can_deadlock_the_coroutines_cannot() -> None:
    two_cores, one_core = study("order")
    assert "deadlock" in (two_cores["threads"].error or "")
    in_order = {record.order for record in two_cores["threads in order"].records}
    assert len(in_order) == len(two_cores["threads in order"].records)
    for results in (two_cores, one_core):
        assert results["threads in order"].error is None
        (order,) = {record.order for record in results["coroutines"].records}
        assert order.startswith("PCPCPCPC")


def test_coroutines_are_as_fast_as_callbacks() -> None:
    for results in study("callbacks"):
        loop = mean(results["epoll"], CPU)
        assert loop < mean(results["coroutine"], CPU) < 1.02 * loop
        assert loop < mean(results["longjmp"], CPU) < 1.01 * loop
        assert mean(results["coroutine"], MEAN) < 1.03 * mean(results["epoll"], MEAN)


def test_threads_lose_to_the_loop_even_if_switches_are_free() -> None:
    more = [
        mean(results["blocking"], CPU) / mean(results["epoll"], CPU) - 1
        for results in study("switch_break_even")
    ]
    usual, free, all_free, dear = more
    assert 0.03 < free < usual < dear
    assert all_free < 0
    assert dear > 0.08


def test_short_connections_take_from_epolls_lead_what_is_no_threads_start() -> None:
    lasting, short = (
        {
            label: mean(results[label], CPU) / mean(results["epoll"], CPU) - 1
            for label in ("blocking", "prefork")
        }
        for results in study("short_connections")
    )
    assert 0 < lasting["blocking"] < 0.15
    assert short["blocking"] > 0.3
    assert 0 < short["prefork"] < min(0.06, lasting["prefork"])


def test_the_interpreter_lock_costs_all_cores_but_one() -> None:
    one, four, sixteen, native = (
        mean(results["blocking"], "throughput_per_s") for results in study("interpreter_lock")
    )
    assert four <= one
    assert sixteen <= one
    assert native > 10 * one


def test_io_uring_wins_where_syscalls_cost_or_load_is_high() -> None:
    usual, loaded, dear, both = study("io_uring")
    cpu = {
        name: mean(results["io_uring"], CPU) / mean(results["epoll"], CPU) - 1
        for name, results in (("usual", usual), ("dear", dear))
    }
    assert -0.03 < cpu["usual"] < 0.03
    assert mean(usual["io_uring"], MEAN) > mean(usual["epoll"], MEAN)
    assert cpu["dear"] < -0.04
    answered = "throughput_per_s"
    assert mean(loaded["io_uring"], answered) > mean(loaded["epoll"], answered)
    assert mean(both["io_uring"], answered) > 1.1 * mean(both["epoll"], answered)


def test_as_many_pool_threads_are_needed_as_calls_are_under_way_and_some_more() -> None:
    (results,) = study("pool_threads")
    verdicts = {model.label: model.verdicts["p99 < 100ms"] for model in results}
    assert (verdicts["40 threads"], verdicts["64 threads"]) == ("fail", "pass")
    busy = mean(results["64 threads"], "device_database_in_service")
    assert 40 < busy < 46
    assert mean(results["40 threads"], "throughput_per_s") < 1_950
    assert mean(results["epoll"], "throughput_per_s") < 55


def test_coalescing_buys_little_cpu_for_its_delay() -> None:
    without, coalesced = study("coalescing")
    for label in ("epoll", "blocking"):
        bought = 1 - mean(coalesced[label], CPU) / mean(without[label], CPU)
        assert 0 < bought < 0.05
        later_ns = mean(coalesced[label], MEAN) - mean(without[label], MEAN)
        assert 40_000 < later_ns < 60_000
