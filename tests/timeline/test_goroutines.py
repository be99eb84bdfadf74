"""Goroutines: what a request costs, who runs where, hand-off, preemption, and nothing lost."""

from collections.abc import Generator
from typing import Any

import pytest
from bench import Bench, in_turn, round_costs

from iosim.handler import OwnWork, Server
from iosim.io_models.goroutine import Goroutine, Options, Runtime
from iosim.machine.kernel import Kernel
from iosim.machine.sockets import Socket
from iosim.profile import load
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import run_once

Steps = Generator[Any, Any, Any]

REQUESTS = 20
OWN = {"own_work": {"chunk": "100us"}}

COSTS = round_costs(
    syscall_ns=10, recvfrom_ns=100, recvfrom_eagain_ns=90, sendto_ns=100,
    epoll_wait_per_event_ns=50, context_switch_ns=1_000, idle_exit_ns=1_000, wake_up_ns=100,
    futex_ns=100, goroutine_switch_ns=50, goroutine_syscall_ns=5, processor_look_ns=20,
    thread_create_ns=1_000,
)  # fmt: skip


def run(
    options: dict[str, Any] | None = None,
    handler: Any = None,
    costs: Any = COSTS,
    workload: dict[str, Any] | None = None,
    **others: Any,
) -> Record:
    open_ = {"rate": "100/s", "arrivals": "deterministic", "connections": {"total": 3}}
    scenario = from_data(
        {
            "machine": others.pop("machine", {}),
            "workload": {"open": {**open_, **(workload or {})}},
            "models": [{"goroutine": options or {}}],
            "server": {"handler": handler or [{"cpu": "100us"}], **others.pop("server", {})},
            "devices": {"db": {"remote": {"latency": "1ms", **others.pop("db", {})}}},
            "run": {"duration": "209ms", "warm_up": "none", **others},
        }
    )
    return run_once(scenario, scenario.models[0], costs, 0)


def each(record: Record) -> dict[str, float]:
    return {name: count / REQUESTS for name, count in record.syscalls.items() if count}


# ----------------------------------------------------------------------- a request's cost


def test_a_request_costs_two_reads_a_write_and_two_looks_at_the_poller() -> None:
    record = run({"sysmon": False})
    assert record.completed == REQUESTS
    # The worker sleeps in epoll_wait; woken it reads and writes; its next read finds nothing,
    # so the goroutine parks, and the worker looks at the poller before it sleeps in it again.
    assert each(record) == {"epoll_wait": 2, "recvfrom": 2, "sendto": 1}
    assert record.voluntary_switches == REQUESTS
    assert record.coroutine_switches == REQUESTS
    # On one core: epoll_wait 2 x 10 and 50 for its event, recvfrom 110 and 100, sendto 110,
    # three calls' 5, a switch of 50, and the 100 us.
    core = record.cores_ns[0]
    assert core["user"] == REQUESTS * (100_000 + 3 * 5 + 50)
    assert core["syscall"] == REQUESTS * (2 * 10 + 50 + 110 + 100 + 110)
    assert core["switch"] == REQUESTS * 1_000  # from the idle task


def test_a_call_parks_its_goroutine_and_no_thread() -> None:
    record = run({"sysmon": False}, [{"cpu": "50us"}, {"call": "db"}, {"cpu": "50us"}])
    assert record.completed == REQUESTS
    assert record.coroutine_switches == 2 * REQUESTS
    assert record.voluntary_switches == 2 * REQUESTS
    syscalls = each(record)
    assert (syscalls["recvfrom"], syscalls["sendto"]) == (4, 2)
    assert [thread.name for thread in record.threads] == ["main"]


def test_sysmon_sleeps_while_nobody_runs_and_is_woken_by_the_first_syscall() -> None:
    record = run()
    syscalls = each(record)
    # On the one core it comes to run when the worker sleeps; 20 us later it finds all idle.
    assert syscalls["futex"] == 2  # the worker's to wake, its own to wait
    monitor = {thread.name: thread for thread in record.threads}["sysmon"]
    assert monitor.voluntary_switches == REQUESTS * (syscalls["nanosleep"] + 1)
    assert syscalls["nanosleep"] == 1


def test_own_work_on_the_only_processor_leaves_the_network_to_sysmon() -> None:
    def with_processors(count: int) -> Record:
        return run({"processors": count, "own_work_goroutine": True}, server=OWN)

    alone, beside = with_processors(1), with_processors(2)
    assert alone.own_work_ns > 0.98 * alone.window_ns
    # Nobody polls but sysmon, 10 ms after the last time at the soonest; then the goroutine has
    # to wait until the own work is preempted, up to 10 ms and a look later.
    assert alone.responses.total_ns > alone.responses.count * 5_000_000
    # Here another worker sleeps in the poller, and its thread shares the core.
    assert beside.completed == REQUESTS
    assert beside.responses.total_ns < alone.responses.total_ns / 4


# ------------------------------------------------------------------------ on a bare bench


class Go:
    """A bench with a runtime on which goroutines note what they do."""

    def __init__(self, cores: int, processors: int, sysmon: bool = False, **costs: Any) -> None:
        self.bench = Bench(cores=cores, queue=in_turn, **costs)
        server = Server(Socket("listener", None), OwnWork(0), 0)
        options = Options.model_validate({"processors": processors, "sysmon": sysmon})

        def program(kernel: Kernel) -> Steps:
            self.runtime = Runtime(kernel, server, options)
            return self.runtime.run(kernel, self.first)

        self.program = program
        self.children: list[Any] = []

    def first(self, go: Goroutine) -> Steps:
        """Start all the others, then end."""
        for child in self.children:
            yield from go.start(child)

    def computes(self, name: str, ns: int) -> Any:
        def program(go: Goroutine) -> Steps:
            yield from go.compute(ns)
            yield from go.kernel.settle()
            self.note(go, name)

        return program

    def note(self, go: Goroutine, name: str) -> None:
        self.bench.note(f"{name} on {go.kernel.thread.core.number}")

    def run(self, until: int) -> list[tuple[int, str]]:
        self.bench.spawn("main", self.program)
        return self.bench.run(until)


def test_the_last_one_started_runs_next_and_the_others_in_turn() -> None:
    go = Go(1, 1, goroutine_switch_ns=1)
    go.children = [go.computes(name, 100) for name in "abc"]
    # `first` 1; c, which took the place of b, which took that of a: 1 and 100 each.
    assert go.run(10_000) == [(102, "c on 0"), (203, "a on 0"), (304, "b on 0")]


def test_a_second_worker_steals_half_of_the_queue() -> None:
    go = Go(2, 2, goroutine_switch_ns=1, processor_look_ns=10, thread_create_ns=50)
    go.children = [go.computes(name, 1_000) for name in "abcde"]
    # The first go statement makes a worker: main pays 50 until 51, when the others are started
    # at once: e is next, a b c d wait. Worker 1 looks at main's processor for 10, takes half of
    # what is there, a and b, queues a, and runs b from 62 on. main: e from 52, c, d.
    assert go.run(20_000) == [
        (1_052, "e on 0"),
        (1_062, "b on 1"),
        (2_053, "c on 0"),
        (2_063, "a on 1"),
        (3_054, "d on 0"),
    ]


@pytest.mark.parametrize(("processors", "fair_share_ns"), [(1, 64_000), (2, 32_000), (4, 16_000)])
def test_stealing_balances_the_cores(processors: int, fair_share_ns: int) -> None:
    go = Go(4, processors, goroutine_switch_ns=1, processor_look_ns=1, thread_create_ns=10)
    go.children = [go.computes(str(number), 1_000) for number in range(64)]
    log = go.run(1_000_000)
    assert len(log) == 64
    assert fair_share_ns <= log[-1][0] <= 1.07 * fair_share_ns + 1_000
    busy = sorted((go.bench.cpu(core).get("user", 0) for core in range(4)), reverse=True)
    assert busy[processors - 1] > 0.9 * fair_share_ns
    assert sum(busy[processors:]) == 0


def test_what_does_not_fit_into_a_queue_goes_to_the_global_one_and_is_run() -> None:
    go = Go(1, 1)
    go.children = [go.computes(str(number), 10) for number in range(700)]
    log = go.run(100_000)
    assert sorted(int(text.split()[0]) for _, text in log) == list(range(700))
    assert log[-1][0] == 7_000


def test_a_blocked_syscall_hands_its_processor_off() -> None:
    def blocked(go: Go) -> Any:
        def program(goroutine: Goroutine) -> Steps:
            yield from goroutine.syscall(goroutine.kernel.nanosleep(5_000_000))
            go.note(goroutine, "blocked")

        return program

    kept = Go(2, 1)
    kept.children = [kept.computes("other", 100), blocked(kept)]
    # Nobody takes the processor away: the other waits for 5 ms.
    assert kept.run(10_000_000) == [(5_000_000, "blocked on 0"), (5_000_100, "other on 0")]
    handed = Go(2, 1, sysmon=True)
    handed.children = [handed.computes("other", 100), blocked(handed)]
    # sysmon looks at 20 us (notes the syscall) and at 40 us (the same one: takes the processor,
    # for which it makes a worker, on the core that the blocked one has left). The blocked one
    # comes back to a processor that is idle again.
    assert handed.run(10_000_000) == [(40_100, "other on 0"), (5_000_000, "blocked on 0")]


def test_who_comes_back_and_finds_no_processor_waits_in_the_global_queue() -> None:
    go = Go(2, 1, sysmon=True)

    def blocks(goroutine: Goroutine) -> Steps:
        yield from goroutine.syscall(goroutine.kernel.nanosleep(100_000))
        yield from goroutine.kernel.settle()
        go.note(goroutine, "back")

    go.children = [go.computes("long", 900_000), blocks]
    # Taken away at 40 us, when `long` begins; back at 100 us, it waits until `long` has ended.
    assert [(at, text.split()[0]) for at, text in go.run(10_000_000)] == [
        (940_000, "long"),
        (940_000, "back"),
    ]


def test_who_computes_is_preempted_after_ten_milliseconds() -> None:
    go = Go(2, 1, sysmon=True)
    go.children = [go.computes("other", 1_000), go.computes("long", 50_000_000)]
    # sysmon looks every 20 us up to 1,020 us, then 40, 80 ... 5,120 us later: at 11,220 us it sees
    # the turn that it has known since 20 us. `long` has all of its 50 ms in the end.
    assert go.run(100_000_000) == [(11_221_000, "other on 0"), (50_001_000, "long on 0")]
    assert go.bench.calls()["rt_sigreturn"] == go.bench.calls()["tgkill"] == 2


def test_without_sysmon_nobody_is_preempted() -> None:
    go = Go(2, 1)
    go.children = [go.computes("other", 1_000), go.computes("long", 50_000_000)]
    assert go.run(100_000_000) == [(50_000_000, "long on 0"), (50_001_000, "other on 0")]


# ------------------------------------------------------------------- nothing is lost


@pytest.mark.parametrize("at_ns", range(4_990, 5_200, 7))
def test_what_arrives_between_trying_and_parking_is_not_lost(at_ns: int) -> None:
    costs = {"syscall_ns": 10, "recvfrom_eagain_ns": 90, "epoll_wait_per_event_ns": 30}
    go = Go(2, 2, goroutine_switch_ns=20, goroutine_syscall_ns=15, **costs)
    socket = go.bench.socket()

    def reads(goroutine: Goroutine) -> Steps:
        yield from goroutine.watch(socket)
        yield from goroutine.compute(5_000)
        for number in range(2):
            yield from goroutine.read(socket)
            yield from goroutine.kernel.settle()
            go.bench.note(f"read {number}")

    # The reader tries at some 5,050 ns and parks 90 ns later; all the while another worker sleeps
    # in the poller, and takes at once what arrives.
    go.children = [reads]
    go.bench.arrive(at_ns, socket)
    go.bench.arrive(8_000, socket)
    (first_ns, first), (second_ns, second) = go.run(10_000)
    assert (first, second) == ("read 0", "read 1")
    assert first_ns < at_ns + 250
    assert second_ns < 8_100


@pytest.mark.parametrize("offset_ns", range(0, 1_000, 10))
def test_what_is_made_ready_while_another_gives_up_searching_does_not_wait(offset_ns: int) -> None:
    go = Go(5, 5, processor_look_ns=20)

    def starts(goroutine: Goroutine) -> Steps:
        yield from goroutine.compute(offset_ns)
        yield from goroutine.start(go.computes("started", 100))
        yield from goroutine.compute(20_000)

    # Four processors compute. The fifth's worker looks at each four times at the beginning: who
    # starts a goroutine then wakes nobody, as one is searching, though it may have passed by.
    go.children = [starts, *(go.computes("other", 30_000) for _ in range(3))]
    at_ns, text = go.run(100_000)[0]
    assert text.startswith("started")
    assert at_ns < offset_ns + 5_000


@pytest.mark.parametrize("profile", ["reference", "free"])
@pytest.mark.parametrize("cores", [1, 2, 4])
def test_no_goroutine_starves(cores: int, profile: str) -> None:
    handler = [{"cpu": {"exponential": "20us"}}, {"call": "db"}, {"cpu": "5us"}]
    record = run(
        handler=handler,
        costs=load(profile).costs,
        machine={"cores": cores},
        workload={"rate": f"{14 * cores}k/s", "arrivals": "poisson", "connections": {"total": 300}},
    )
    assert record.in_flight < 300
    assert record.completed + record.in_flight == record.offered
    assert record.responses.max_ns is not None and record.responses.max_ns < 40_000_000


def test_a_blocking_device_holds_threads_and_no_processor() -> None:
    record = run(
        handler=[{"cpu": "10us"}, {"call": "db"}],
        machine={"cores": 2},
        costs=load("reference").costs,
        workload={"rate": "8k/s", "connections": {"total": 100}},
        db={"interface": "blocking"},
    )
    # Eight calls of 1 ms under way at a time, with two processors.
    assert record.completed > 0.98 * record.offered
    assert len(record.threads) > 8
    without = run(
        {"sysmon": False},
        handler=[{"cpu": "10us"}, {"call": "db"}],
        machine={"cores": 2},
        costs=load("reference").costs,
        workload={"rate": "8k/s", "connections": {"total": 100}},
        db={"interface": "blocking"},
    )
    assert without.completed < 0.3 * record.completed
