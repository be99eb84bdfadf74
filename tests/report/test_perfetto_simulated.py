"""The simulated run in a trace is the one that was simulated."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from oracle import Read, Slice, read

from iosim.machine.core import Core
from iosim.machine.request import ANSWERED, Request
from iosim.machine.thread import ENTRY, USER, Segment, Thread, WaitQueue
from iosim.machine.trace import Trace
from iosim.plugins import kinds
from iosim.profile import load
from iosim.report.perfetto.packets import Packets
from iosim.report.perfetto.simulated import PID, WAKE_FLOWS, SimulatedRun
from iosim.scenario import Scenario, from_data
from iosim.simulation import observe

DATA: dict[str, Any] = {
    "machine": {"cores": 2},
    "server": {"handler": [{"cpu": "20us"}, {"call": "database"}, {"cpu": "10us"}]},
    "devices": {"database": {"remote": {"latency": "200us"}}},
    "workload": {"open": {"rate": "15k/s", "connections": {"total": 20}}},
    "run": {"duration": "10ms", "warm_up": "none"},
}
ITEMS = {
    "workload": {"producer_consumer": {"produce": "20us", "consume": "20us"}},
    "run": {"duration": "10ms", "warm_up": "none"},
}
COSTS = load("reference").costs


@dataclass
class Known(Trace):
    """The same, kept as plainly as can be."""

    since_ns: int = -1
    ran_: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(core, thread, from, to)."""
    _has: dict[int, tuple[int, int]] = field(default_factory=dict)
    calls: Counter[tuple[int, str]] = field(default_factory=Counter)
    user_ns: Counter[int] = field(default_factory=Counter)
    woken: list[tuple[int, int]] = field(default_factory=list)
    requests: dict[int, Request] = field(default_factory=dict)
    delivered_ns: dict[int, int] = field(default_factory=dict)
    ended_ns: dict[int, int] = field(default_factory=dict)
    work: list[tuple[int, int, int]] = field(default_factory=list)
    """(request, thread, since when)."""
    names: dict[int, str] = field(default_factory=dict)
    softirq_ns: int = 0

    def offered(self, request: Request) -> None:
        if self.since_ns < 0:
            self.since_ns = request.intended_ns
        self.requests[request.number] = request

    def spawned(self, thread: Thread, at_ns: int) -> None:
        self.names[thread.number] = thread.name
        self.woke(thread, at_ns)

    def woke(self, thread: Thread, at_ns: int) -> None:
        if self.since_ns >= 0:
            self.woken.append((at_ns, thread.number))

    def dispatched(self, thread: Thread, core: Core, at_ns: int, runs_ns: int) -> None:
        self._has[core.number] = (thread.number, runs_ns)

    def _left(self, core: Core, at_ns: int) -> None:
        number, from_ns = self._has.pop(core.number)
        if self.since_ns >= 0:
            self.ran_.append((core.number, number, max(from_ns, self.since_ns), at_ns))

    def preempted(self, thread: Thread, core: Core, at_ns: int, by: Thread) -> None:
        self._left(core, at_ns)

    def slept(self, thread: Thread, core: Core, at_ns: int, on: WaitQueue) -> None:
        self._left(core, at_ns)

    def ended(self, thread: Thread, core: Core, at_ns: int) -> None:
        self._left(core, at_ns)

    def ran(
        self, thread: Thread, core: Core, from_ns: int, to_ns: int, segments: list[Segment]
    ) -> None:
        if self.since_ns < 0:
            return
        left_ns = to_ns - from_ns
        for cause, ns, label in segments:
            if left_ns <= 0:
                break
            self.calls[thread.number, label] += cause == ENTRY
            self.user_ns[thread.number] += min(ns, left_ns) * (cause == USER)
            left_ns -= ns

    def interrupt_done(self, core: Core, at_ns: int, ns: int) -> None:
        self.softirq_ns += ns

    def delivered(self, request: Request, at_ns: int) -> None:
        self.delivered_ns[request.number] = at_ns

    def begun(self, request: Request, thread: Thread, at_ns: int) -> None:
        self.work.append((request.number, thread.number, at_ns))

    def over(self, request: Request, at_ns: int) -> None:
        self.ended_ns[request.number] = at_ns


def scenario(model: str, **changed: Any) -> Scenario:
    return from_data({**DATA, **changed, "models": [model]})


def traced(wanted: Scenario, path: Path, noun: str = "request") -> Read:
    with path.open("wb") as file:
        packets = Packets(file)
        run = SimulatedRun(packets, "a model", noun)
        observe(wanted, wanted.models[0], COSTS, 0, run)
        run.finish()
    found = read(path)
    assert found.packets == packets.written
    return found


def known(wanted: Scenario) -> Known:
    watch = Known()
    observe(wanted, wanted.models[0], COSTS, 0, watch)
    return watch


SERVERS = [
    name
    for name, module in sorted(kinds("io_models").items())
    if getattr(module, "SERVES", "requests") == "requests" and module.__name__.startswith("iosim.")
]


@pytest.mark.parametrize("model", SERVERS)
def test_every_model_s_trace_is_what_was_simulated(model: str, tmp_path: Path) -> None:
    wanted = scenario(model)
    found, expected = traced(wanted, tmp_path / "trace"), known(wanted)
    last_ns = max((to_ns for *_, to_ns in expected.ran_), default=0)

    names = {PID + number: name for number, name in expected.names.items()}
    assert set(found.threads.values()) <= set(names.items())
    # Who had which core, and when.
    told = [(ran.core, ran.tid - PID, ran.from_ns, ran.to_ns) for ran in found.ran]
    complete = [ran for ran in sorted(told) if ran[3] <= last_ns]
    assert set(expected.ran_) <= set(told)
    assert len(complete) - len(expected.ran_) in range(wanted.machine.cores + 1)
    # Each syscall, on the row of its thread.
    calls = Counter(
        (tid - PID, name)
        for tid, name, from_ns, _ in found.on_threads("syscall")
        if from_ns > expected.since_ns
    )
    own = {pair: calls[pair] for pair, times in expected.calls.items() if times}
    assert own == {pair: times for pair, times in expected.calls.items() if times}
    # Time in user mode.
    user_ns: Counter[int] = Counter()
    for tid, _, from_ns, to_ns in found.on_threads("user"):
        user_ns[tid - PID] += to_ns - from_ns
    assert user_ns == +expected.user_ns
    # Who was woken.
    assert [(at_ns, tid - PID) for at_ns, _, _, tid in found.wakings] == sorted(
        expected.woken, key=lambda woken: woken[0]
    )
    # Each request: from when to when, where it arrived, who worked on it.
    check_requests(found, expected)
    for name in ("run queue", "ready list", "in flight"):
        assert min(value for _, value in found.counts[name]) >= 0, name


def check_requests(found: Read, expected: Known) -> None:
    rows = [piece for piece in found.named("requests") if found.parents[piece.row] == 1]
    lives = {
        int(piece.name.split()[1]): piece for piece in rows if piece.name.startswith("request")
    }
    assert lives.keys() == expected.requests.keys()
    for number, piece in lives.items():
        assert piece.from_ns == expected.requests[number].intended_ns
        if expected.requests[number].state == ANSWERED:
            assert (piece.name, piece.to_ns) == (f"request {number}", expected.ended_ns[number])
        else:
            assert piece.name == f"request {number} in flight"
    ends = {piece.flows[0] - 1: piece.from_ns for piece in rows if piece.name == "arrives"}
    assert ends == expected.delivered_ns
    assert {piece.ends[0] - 1 for piece in rows if piece.ends} == expected.ended_ns.keys()
    work = sorted(
        (piece.flows[0] - 1, found.threads[found.parents[piece.row]][0] - PID, piece.from_ns)
        for piece in found.named("requests")
        if found.parents[piece.row] != 1
    )
    assert work == sorted(expected.work)


def test_the_counts_are_those_of_the_machine(tmp_path: Path) -> None:
    wanted = scenario("blocking", machine={"cores": 1})
    found = traced(wanted, tmp_path / "trace")
    in_flight = found.counts["in flight"]
    assert in_flight[0][1] == 0
    changes = [b - a for (_, a), (_, b) in pairwise(in_flight)]
    assert set(changes) == {1, -1}
    assert max(value for _, value in found.counts["run queue"]) > 1
    assert {value for _, value in found.counts["ready list"]} == {0}


def arrows(found: Read) -> dict[int, list[Slice]]:
    flows: dict[int, list[Slice]] = {}
    for piece in found.slices:
        for flow in (*piece.flows, *piece.ends):
            if flow >= WAKE_FLOWS:
                flows.setdefault(flow, []).append(piece)
    return flows


def test_an_arrow_goes_from_who_wakes_to_who_is_woken(tmp_path: Path) -> None:
    wanted = scenario("thread_pool_callbacks")
    found = traced(wanted, tmp_path / "trace")
    woken = 0
    for ends in arrows(found).values():
        from_, *to = ends
        assert from_.flows and from_.name.startswith("wakes ")
        for piece in to:
            woken += 1
            assert piece.ends and piece.name == "woken" and piece.from_ns >= from_.from_ns
            assert found.threads[piece.row][1] == from_.name.removeprefix("wakes ")
    assert woken > 50
    # The loop wakes workers through a futex, they wake it through its eventfd.
    wakers = {
        (found.names[ends[0].row], piece.name)
        for ends in arrows(found).values()
        for piece in found.slices
        if piece.row == ends[0].row
        and piece.category == "syscall"
        and piece.from_ns <= ends[0].from_ns <= piece.to_ns
    }
    assert ("main", "futex") in wakers
    assert any(name != "main" and call == "write" for name, call in wakers)


def test_a_syscall_in_which_a_thread_sleeps_lasts_until_it_returns(tmp_path: Path) -> None:
    found = traced(scenario("blocking"), tmp_path / "trace")
    sleeps = [
        (piece, ran)
        for piece in found.slices
        if piece.name == "recvfrom" and piece.row in found.threads
        for ran in found.ran
        if ran.tid == found.threads[piece.row][0] and piece.from_ns < ran.to_ns < piece.to_ns
    ]
    assert len(sleeps) > 100
    last_ns = max(ran.to_ns for ran in found.ran)
    for piece, ran in sleeps:
        assert ran.state == 1
        if piece.to_ns == last_ns:
            continue  # it has not been woken
        within = [
            other.name
            for other in found.slices
            if other.row == piece.row and ran.to_ns < other.from_ns < piece.to_ns
        ]
        assert "context switch" in within


def test_interrupts_are_on_their_core_s_row(tmp_path: Path) -> None:
    wanted = scenario("epoll", machine={"cores": 1, "network": {"nic": {"latency": "30us"}}})
    found, expected = traced(wanted, tmp_path / "trace"), known(wanted)
    row = found.named("core 0: interrupts")
    softirq = [piece for piece in row if piece.name == "softirq"]
    assert sum(piece.to_ns - piece.from_ns for piece in softirq) == expected.softirq_ns > 0
    # No thread's own work overlaps with it.
    for tid, _, from_ns, to_ns in found.on_threads("user"):
        assert tid and not any(p.from_ns < to_ns and p.to_ns > from_ns for p in softirq)
    # They wake the loop.
    assert any(piece.name == "wakes main" for piece in row)


def test_the_host_s_theft_is_shown(tmp_path: Path) -> None:
    noise = {"stolen": {"gap": "1ms", "length": "200us"}}
    wanted = scenario("epoll", machine={"cores": 1, "host_noise": noise})
    found = traced(wanted, tmp_path / "trace")
    assert any(piece.name == "host" for piece in found.named("core 0: interrupts"))


def test_a_request_that_ends_badly_says_so(tmp_path: Path) -> None:
    workload = {"open": {"rate": "200k/s", "connections": {"total": 5}, "timeout": "2ms"}}
    found = traced(scenario("epoll", workload=workload), tmp_path / "trace")
    names = Counter(piece.name.partition(" ")[2].lstrip("0123456789 ") for piece in found.slices)
    assert names["timed out"] > 10


def test_items_of_a_pipeline_have_rows_too(tmp_path: Path) -> None:
    wanted = from_data({**ITEMS, "models": ["coroutines"]})
    found = traced(wanted, tmp_path / "trace", "item")
    assert any(piece.name == "item 0" for piece in found.named("items"))


def test_what_happens_before_the_load_is_left_out(tmp_path: Path) -> None:
    wanted = scenario("blocking")
    found, expected = traced(wanted, tmp_path / "trace"), known(wanted)
    assert min(piece.from_ns for piece in found.slices) == expected.since_ns
    # Who then sleeps in a call is shown in it.
    asleep = [piece for piece in found.slices if piece.from_ns == expected.since_ns]
    assert Counter(piece.name for piece in asleep if piece.row in found.threads)["recvfrom"] == 20
