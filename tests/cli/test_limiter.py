"""What holds a model back: the record's own evidence, one case for each kind of limit."""

import re

import pytest
from commandline import TINY, run

from iosim.report.limiter import limiter
from iosim.scenario import from_data
from iosim.simulation import simulate

LOOP = """\
machine: {cores: 4}
server:
  handler: [{cpu: 100us}]
workload:
  open: {rate: 20k/s, connections: {total: 64}}
models: [epoll]
run: {duration: 50ms, replications: 2}
"""

TAIL = """\
machine: {cores: 4}
devices:
  db: {remote: {latency: {bimodal: {low: 100us, high: 50ms, high_fraction: 60%}}}}
server:
  handler: [{cpu: 20us}, {call: db}]
workload:
  open: {rate: 5k/s, timeout: 5ms, connections: {total: 2000}}
models: [epoll]
run: {duration: 200ms, replications: 2}
"""


def told(text: str, *changes: str) -> str:
    args = [arg for change in changes for arg in ("--set", change)]
    return " ".join(run(text, *args).out.split())


def test_an_event_loop_at_its_limit_on_four_cores() -> None:
    text = told(LOOP)
    assert "Did not keep up with the load, by the part answered in time: epoll (" in text
    assert re.search(r"What holds epoll back: its main thread had (9\d\.\d|100)% of one core", text)
    metrics = run(LOOP, "--json").metrics("epoll")
    assert metrics["cpu_utilization"]["mean"] < 0.3
    assert metrics["cpu_utilization_busiest_thread"]["mean"] > 0.95


def test_timeouts_of_a_devices_tail_are_no_backlog() -> None:
    text = told(TAIL)
    assert "Did not keep up" not in text
    assert "Answered too late for the clients' timeout, by the part answered in time: epoll" in text
    # 40% of the calls take 0.1 ms, 60% take 50 ms: 30 ms as a mean, of those that have ended.
    assert re.search(r"a call of device db takes (2\d|30)\.\d ms as a mean", text)


def test_timeouts_of_a_loop_at_its_limit_are_backlog() -> None:
    text = told(LOOP, "workload.open.timeout=5ms")
    assert "Answered too late" not in text
    assert "Did not keep up with the load" in text
    assert "its main thread had" in text


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        (["models=[blocking]"], "all 4 cores were busy"),
        (
            ["models=[blocking]", "machine={cores: 4, runtime: cpython}"],
            "the interpreter lock was held",
        ),
        (
            [
                "server.handler=[{call: db}]",
                "devices={db: {remote: {latency: 1ms, concurrency: 4}}}",
            ],
            "the places of device db were in use",
        ),
        (
            [
                "models=[{thread_pool_callbacks: {threads: 4, offload: handler}}]",
                "server.handler=[{call: db}]",
                "devices={db: {remote: {latency: 1ms}}}",
                "workload.open.connections.total=2000",
            ],
            "went into waiting for one of its 5 threads",
        ),
        (
            [
                "server.handler=[{call: db}]",
                "devices={db: {remote: {latency: 5ms}}}",
                "workload.open.connections.total=4",
            ],
            "went into waiting at the client for the connection",
        ),
    ],
    ids=["cores", "interpreter lock", "device", "pool", "connections"],
)
def test_each_limit_is_named(changes: list[str], evidence: str) -> None:
    (label,) = ["blocking"] if "models=[blocking]" in changes else ["epoll"]
    text = told(LOOP, *changes, "workload.open.rate=60k/s")
    holds = text.partition("What holds ")[2]
    assert holds.startswith((f"{label} back: ", "thread_pool_callbacks back: "))
    assert evidence in holds


def test_who_fails_an_objective_is_told_too() -> None:
    text = told(TINY, "slo=[p50 < 1us]")
    assert "Did not keep up" not in text
    for label in ("blocking", "epoll", "coro"):
        assert f"What holds {label} back: " in text
    assert "went into calls and sleeps; a call of device db takes 1" in text


def test_who_keeps_up_has_nothing_to_be_told() -> None:
    assert "What holds" not in told(TINY)


@pytest.mark.parametrize(
    ("handler", "with_what"),
    [
        (
            [{"cpu": "1us"}, {"call": "db"}],
            r", [1-9]\d\.\d% of it with switches and what they cost",
        ),
        ([{"cpu": "400us"}], r"of the time\Z"),
    ],
)
def test_what_the_cores_are_busy_with_is_told_if_it_is_not_the_program(
    handler: list[dict[str, str]], with_what: str
) -> None:
    scenario = from_data(
        {
            "server": {"handler": handler},
            "devices": {"db": {"remote": {"latency": "50us"}}},
            "workload": {"closed": {"users": 50, "think": "0ms"}},
            "models": ["blocking"],
            "run": {"duration": "20ms", "warm_up": "none", "replications": 1},
        }
    )
    found = limiter(simulate(scenario).models[0])
    assert found is not None and found.full
    assert re.search(with_what, found.evidence), found.evidence
