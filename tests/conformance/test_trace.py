"""A trace observes and changes nothing, and sees everything."""

from collections import Counter

from grounds import Case, plain, some_cases, traced, untraced_once

from iosim.machine.core import Core
from iosim.machine.thread import ENTRY, SYSCALL, Segment, Thread, WaitQueue
from iosim.machine.trace import Trace
from iosim.profile import load
from iosim.scenario import from_data
from iosim.simulation import run_once


@some_cases(every=1)
def test_a_trace_changes_nothing(case: Case) -> None:
    assert plain(traced(case).record) == untraced_once(case)


class Times(Trace):
    """A trace that adds up what each core ran, and checks the life of each thread."""

    def __init__(self) -> None:
        self.ran_ns: Counter[tuple[int, int]] = Counter()
        self.softirq_ns: Counter[int] = Counter()
        self.state: dict[int, str] = {}
        self.last_end_ns: Counter[int] = Counter()

    def _goes(self, thread: Thread, frm: str, to: str) -> None:
        assert self.state.get(thread.number, "new") == frm, thread.name
        self.state[thread.number] = to

    def spawned(self, thread: Thread, at_ns: int) -> None:
        self._goes(thread, "new", "runnable")

    def dispatched(self, thread: Thread, core: Core, at_ns: int, runs_ns: int) -> None:
        self._goes(thread, "runnable", "running")

    def ran(
        self, thread: Thread, core: Core, from_ns: int, to_ns: int, segments: list[Segment]
    ) -> None:
        assert self.state[thread.number] == "running"
        assert from_ns >= self.last_end_ns[core.number]  # one thread at a time
        self.last_end_ns[core.number] = to_ns
        left_ns = to_ns - from_ns
        for cause, ns, _ in segments:
            done_ns = min(ns, left_ns)
            self.ran_ns[core.number, SYSCALL if cause == ENTRY else cause] += done_ns
            left_ns -= done_ns
        assert left_ns == 0

    def preempted(self, thread: Thread, core: Core, at_ns: int, by: Thread) -> None:
        self._goes(thread, "running", "runnable")
        assert by is not thread

    def slept(self, thread: Thread, core: Core, at_ns: int, on: WaitQueue) -> None:
        self._goes(thread, "running", "asleep")

    def woke(self, thread: Thread, at_ns: int) -> None:
        self._goes(thread, "asleep", "runnable")

    def ended(self, thread: Thread, core: Core, at_ns: int) -> None:
        self._goes(thread, "running", "ended")

    def interrupted(self, core: Core, at_ns: int, ns: int) -> None:
        self.softirq_ns[core.number] += ns


@some_cases(every=4)
def test_the_life_of_each_thread_is_told_without_gaps(case: Case) -> None:
    scenario = case.scenario
    times = Times()
    record = run_once(scenario, scenario.models[0], case.costs, 0, trace=times)
    for number, core in enumerate(record.cores_ns):
        # What ran in bursts up to now; the last burst may still be under way, and the load
        # came after the connecting.
        for cause, name in enumerate(("user", "syscall")):
            assert times.ran_ns[number, cause] >= core[name] - 1_000_000


def test_interrupts_are_told() -> None:
    scenario = from_data(
        {
            "machine": {"network": {"nic": {"latency": "30us"}}},
            "workload": {"open": {"rate": "10k/s"}},
            "models": ["epoll"],
            "run": {"duration": "20ms", "warm_up": "none"},
        }
    )
    times = Times()
    costs = load("reference").costs
    record = run_once(scenario, scenario.models[0], costs, 0, trace=times)
    told_ns = times.softirq_ns[0]
    interrupts, rest_ns = divmod(told_ns, costs.receive_softirq_ns)
    assert rest_ns == 0
    assert 0.9 * record.offered <= interrupts <= record.offered
    assert told_ns >= record.cores_ns[0]["softirq"] > 0
