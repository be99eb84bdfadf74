"""`iosim explain`: one moment of a simulated run, by hand arithmetic and for every model."""

import re
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from commandline import PIPELINE, TINY, iosim

from iosim.machine.costs import Costs
from iosim.plugins import kinds
from iosim.profile import load as load_profile
from iosim.profile import with_costs
from iosim.report.burst import _around
from iosim.report.story import SAYS
from iosim.report.timeline import Event, Moment, Span, Whose, observe
from iosim.scenario import Scenario, from_source
from iosim.simulation import run_once
from iosim.yaml_source import load

ALONE = """\
machine: {cores: 1}
devices: {db: {remote: {latency: 100us}}}
server: {handler: [{cpu: 10us}, {call: db}, {cpu: 5us}]}
workload: {open: {rate: 1k/s, arrivals: deterministic, connections: {total: 3}}}
models: [blocking, epoll, coroutine]
run: {duration: 50ms, replications: 1}
"""


def serves_requests(model: Any) -> bool:
    return getattr(model, "SERVES", "requests") == "requests"


class Seen:
    """A trace that takes no note."""

    def __getattr__(self, name: str) -> Any:
        return lambda *what: None


def scenario(text: str) -> Scenario:
    return from_source(load(text, "test"))


def costs(**changes: str) -> Costs:
    return with_costs(load_profile("free"), changes).costs


def moment(text: str, label: str, busy: bool = False, **changes: str) -> Moment:
    loaded = scenario(text)
    (chosen,) = [m for m in loaded.models if m.kind == label]
    return observe(loaded, chosen, costs(**changes), busy)


def test_one_request_by_hand() -> None:
    seen = moment(ALONE, "blocking", recvfrom="2us", sendto="1us", syscall="100ns")
    (life,) = seen.lives
    assert life.answered_ns - life.intended_ns == 124_400
    # The client sends for 1.1 us and receives for 2.1.
    assert life.parts_ns["network"] == 3_200
    assert life.parts_ns["device"] == 100_000
    assert life.parts_ns["cpu"] == 21_200
    # The call in which the thread was asleep ends; the next begins before it sleeps again.
    there_ns = life.intended_ns + 1_100
    assert [(s.label, s.from_ns - there_ns, s.to_ns - there_ns) for s in seen.spans] == [
        ("recvfrom", 0, 2_000),
        ("compute", 2_000, 12_000),
        ("sendto", 12_000, 13_100),
        ("recvfrom", 13_100, 13_200),
        ("recvfrom", 113_100, 115_100),
        ("compute", 115_100, 120_100),
        ("sendto", 120_100, 121_200),
        ("recvfrom", 121_200, 121_300),
    ]
    assert [(e.what, e.at_ns - there_ns) for e in seen.events if e.what in {"woke", "slept"}] == [
        ("woke", 0),
        ("slept", 13_200),
        ("woke", 113_100),
        ("slept", 121_300),
    ]


def test_sums_are_those_of_the_moment() -> None:
    seen = moment(ALONE, "epoll", context_switch="1us", syscall="100ns")
    assert seen.cpu_ns()["user"] == 15_000
    assert seen.syscalls() == {"recvfrom": 2, "sendto": 2, "epoll_wait": 2}
    assert seen.count("slept") == 2
    assert seen.count("woke") == 2
    assert seen.count("preempted") == 0


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("kind", sorted(kinds("io_models")))
def test_every_model_can_be_explained(kind: str, busy: bool) -> None:
    outcome = iosim("explain", kind, *(["--busy"] if busy else []))
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith(f"{kind}: ")
    assert max(map(len, lines)) <= 80
    assert "Context switches" in outcome.out
    # In time order: no line lies before the one above it.
    steps, _, _ = outcome.out.partition("\nIn all\n")
    found = re.findall(r"^ *([\d,]+\.\d\d) ", steps, re.MULTILINE)
    times = [float(text.replace(",", "")) for text in found]
    assert len(times) > 4
    assert times == sorted(times)


OWN_WORK = "  own_work: {chunk: 20us}\n"
EVERYTHING = """\
machine: {cores: 2, runtime: RUNTIME}
devices:
  db: {remote: {latency: 50us}}
  driver: {remote: {latency: 50us, interface: blocking}}
  file: {disk: {latency: 50us, page_cache_hit: 50%}}
  log: {disk: {latency: 50us, access: write, fsync: true}}
  names: {dns: {latency: 100us, cached: 50%, loss: 20%, timeout: 1ms}}
server:
  handler:
    [cpu: 5us, call: names, call: file, call: log, call: driver, call: db, sleep: 100us]
  own_work: {chunk: 20us}
workload: {open: {rate: 1k/s, connections: {total: 10, lifetime: 2}}}
models: [MODEL]
run: {duration: 20ms, warm_up: none, replications: 1}
"""


@pytest.mark.parametrize("runtime", ["native", "cpython"])
@pytest.mark.parametrize("kind", [k for k, m in kinds("io_models").items() if serves_requests(m)])
def test_there_are_words_for_all_that_a_thread_does(kind: str, runtime: str) -> None:
    class Labels(Seen):
        def ran(self, thread: Any, core: Any, from_ns: int, to_ns: int, segments: Any) -> None:
            labels.update(label for _, _, label in segments)

    labels: set[str] = set()
    models = [f"{{{kind}: {{}}}}"]
    if kind == "epoll":
        models.append("{epoll: {workers: 2, sharing: reuseport, min_wait: 1us}}")
    if kind == "io_uring":
        models.append("{io_uring: {sqpoll: true, sq_thread_idle: 100us}}")
    # Beside own work a thread of a pool may never get the interpreter lock (machine.md).
    for model, own_work in product(models, (True, False)):
        text = EVERYTHING.replace("MODEL", model).replace("RUNTIME", runtime)
        loaded = scenario(text if own_work else text.replace(OWN_WORK, ""))
        run_once(loaded, loaded.models[0], load_profile("reference").costs, 0, trace=Labels())
    assert "pread64" in labels
    assert "getaddrinfo" in labels
    assert labels <= set(SAYS)


@pytest.mark.parametrize("kind", ["blocking", "epoll", "nonblocking", "aio", "select"])
def test_no_core_does_two_things_at_once(kind: str) -> None:
    text = TINY.replace("models: [blocking,", f"models: [{{{kind}: {{label: it}}}},")
    loaded = scenario(text.replace("rate: 10k/s", "rate: 30k/s"))
    seen = observe(loaded, loaded.models[0], load_profile("reference").costs, busy=True)
    for core in range(seen.cores):
        own = [span for span in seen.spans if span.core == core]
        assert all(a.to_ns <= b.from_ns for a, b in pairwise(own))
        assert all(span.from_ns < span.to_ns for span in own)


def test_work_lies_around_softirqs() -> None:
    # 10 of work that ended at 100; softirqs at 80-85 and 92-96: so 96-100, 86... backwards.
    assert _around([(80, 85), (92, 96)], 10, 100) == [(96, 100), (86, 92)]
    assert _around([(80, 88), (92, 96)], 10, 100) == [(96, 100), (88, 92), (78, 80)]
    assert _around([], 10, 100) == [(90, 100)]
    assert _around([(96, 100)], 10, 100) == [(86, 96)]
    assert _around([(100, 120)], 10, 100) == [(90, 100)]


def test_batching_costs_epoll_fewer_switches_than_blocking() -> None:
    def each(kind: str) -> float:
        found = re.search(r"; ([\d.]+) for\s+each", iosim("explain", kind, "--busy").out)
        assert found is not None
        return float(found[1])

    assert each("epoll") < each("blocking")
    text = " ".join(iosim("explain", "epoll", "--busy").out.split())
    assert "came while the thread that serves them was awake, and cost no switch" in text


def test_what_the_readme_says_of_the_built_in_moment() -> None:
    def switches(kind: str) -> str:
        found = re.search(r"for 4 requests: (\d+ voluntary)", iosim("explain", kind, "--busy").out)
        assert found is not None
        return found[1]

    assert switches("blocking") == "8 voluntary"
    assert switches("epoll") == "2 voluntary"


def test_whose_work_it_is() -> None:
    def event(at_ns: int, what: str, request: int | None = None) -> Event:
        return Event(at_ns, what, "main", request=request)

    def span(from_ns: int) -> frozenset[int]:
        return whose.span(Span("main", 0, "user", "it", from_ns, from_ns + 1))

    slept = event(60, "slept")
    whose = Whose(
        [
            event(0, "woke"),  # an epoll_wait that returns 1 and 2
            event(10, "begun", 1),
            event(20, "paused", 1),
            event(20, "begun", 2),
            event(30, "paused", 2),  # another, that returns 3
            event(40, "begun", 3),
            event(50, "paused", 3),  # a last one, in which it sleeps
            slept,
            event(70, "woke"),
            event(80, "begun", 1),
            event(85, "slept"),  # for a lock
            event(90, "woke"),
            event(95, "paused", 1),
            event(99, "slept"),
        ]
    )
    assert [span(at) for at in (0, 9)] == [{1, 2}, {1, 2}]
    assert [span(at) for at in (10, 20, 29)] == [{1}, {2}, {2}]
    assert [span(at) for at in (30, 40, 49)] == [{3}, {3}, {3}]
    assert [span(at) for at in (50, 59)] == [{1, 2, 3}, {1, 2, 3}]
    assert whose.event(slept) == {1, 2, 3}
    assert [span(at) for at in (70, 80, 90, 95)] == [{1}, {1}, {1}, {1}]
    assert whose.event(event(85, "slept")) == {1}
    assert whose.event(event(99, "slept")) == {1}
    assert whose.span(Span("other", 0, "user", "it", 5, 6)) == set()


@pytest.mark.parametrize("kind", ["blocking", "epoll", "thread_pool_callbacks"])
def test_others_work_is_told_apart(kind: str) -> None:
    text = TINY.replace("models: [blocking,", f"models: [{{{kind}: {{label: it}}}},")
    loaded = scenario(text.replace("rate: 10k/s", "rate: 25k/s"))
    seen = observe(loaded, loaded.models[0], load_profile("reference").costs, busy=True)
    assert seen.in_flight
    alone = [span for span in seen.spans if not seen.concerns(span)]
    assert alone
    assert all(span.whose and span.whose.isdisjoint(seen.numbers) for span in alone)
    whole = sum(span.to_ns - span.from_ns for span in seen.spans)
    others = sum(span.to_ns - span.from_ns for span in alone)
    assert sum(seen.cpu_ns().values()) == whole - others
    # A request computes 10 and 5 us, and the program works on its query and on its answer: that
    # is all that is computed for those shown.
    own_ns = 15_000 + 2 * load_profile("reference").costs.message_ns
    assert seen.cpu_ns()["user"] >= 4 * own_ns
    if kind == "blocking":
        assert seen.cpu_ns()["user"] == 4 * own_ns
        assert seen.syscalls()["sendto"] == 8
        assert 4 <= seen.count("slept") <= 8
        assert not any(map(seen.shared, seen.spans))


def test_words_for_what_others_share(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.replace("rate: 10k/s", "rate: 25k/s"))
    out = " ".join(iosim("explain", "epoll", path, "--busy").out.split())
    assert re.search(r"Shared with #\d+.*: \d+ context switch", out)
    assert re.search(r"Not counted, as it was done for others alone \(#\d+", out)


def test_a_lone_thread_is_woken_by_nobody_but_what_comes() -> None:
    busy = iosim("explain", "epoll", "scenarios/quickstart.yaml", "--busy").out
    assert "Threads that ran: 1 (main)." in busy
    assert "Woken by what came for others" in busy
    assert "Woken by another thread" not in busy
    pool = iosim("explain", "thread_pool_callbacks", "scenarios/disk_behind_a_small_pool.yaml")
    assert "Woken by another thread" in pool.out


def test_idle_exit_is_told_as_two_parts_and_within_switch() -> None:
    out = " ".join(iosim("explain", "epoll").out.split())
    assert "waits for its core to leave idle, uncharged" in out
    assert "the rest of that latency, charged to it" in out
    assert re.search(r"switch [\d.]+ us \([\d.]+ us of it idle exit\)", out)
    assert "exits from idle" in " ".join(iosim("list", "metrics").out.split())


def test_both_models_are_shown_the_same_requests() -> None:
    first = [iosim("explain", kind, "--busy").out.splitlines()[0] for kind in ("epoll", "blocking")]
    numbers = [line[line.index("(") :] for line in first]
    assert numbers[0] == numbers[1]


def test_in_a_scenario_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    by_label = iosim("explain", "coro", path, "--set", "run.duration=50ms")
    assert by_label.code == 0
    assert by_label.out.startswith("coro: the life of request")
    wrong = iosim("explain", "colo", path)
    assert wrong.code == 2
    assert "did you mean 'coro'?" in wrong.err
    path.write_text(PIPELINE)
    assert "the life of item" in iosim("explain", "threads", path).out


def test_changes_apply_to_the_built_in_scenario() -> None:
    out = iosim("explain", "epoll", "--set", "profile.context_switch=0ns", "--profile", "free").out
    took = re.search(r"Request \d+ took ([\d.]+) us", out)
    assert took is not None
    # 10 us, 100 us of the device, 10 us, and nothing costs anything.
    assert float(took[1]) == 120
    assert iosim("explain", "epoll", "--set", "models.epoll.trigger=edge").code == 0


def test_a_run_without_answers_says_so(tmp_path: Path) -> None:
    path = tmp_path / "slow.yaml"
    path.write_text(TINY.replace("latency: 100us", "latency: 1s"))
    outcome = iosim("explain", "epoll", path)
    assert outcome.code == 2
    assert "no request was answered" in outcome.err


def test_an_unknown_model_has_a_near_match() -> None:
    outcome = iosim("explain", "epol")
    assert outcome.code == 2
    assert "did you mean 'epoll'?" in outcome.err


def test_a_busy_moment_is_one_and_a_typical_request_is_alone() -> None:
    text = ALONE.replace("rate: 1k/s, arrivals: deterministic", "rate: 4k/s")
    busy, alone = moment(text, "epoll", busy=True), moment(text, "epoll")
    intended_ns = [life.intended_ns for life in busy.lives]
    assert len(intended_ns) == 4
    # Four come within 750 us on average.
    assert max(intended_ns) - min(intended_ns) < 250_000
    assert len(alone.lives) == 1
    assert alone.in_flight == 0
