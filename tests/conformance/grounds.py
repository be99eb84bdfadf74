"""The grounds on which every I/O model has to prove itself: cases, runs, and what is seen of them.

Each case is a scenario as plain data; together they cover, for every model that is found, one core
and two, both runtimes and networks, device calls, sleeps, own work, time-outs, refusals, overload,
schedulers, open and closed workloads, real costs and none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from iosim import clients
from iosim.choice import Chosen
from iosim.histogram import Histogram
from iosim.machine.core import Core
from iosim.machine.costs import Costs
from iosim.machine.request import ANSWERED, Request
from iosim.machine.thread import Segment, Thread, WaitQueue
from iosim.machine.trace import Trace
from iosim.plugins import kinds
from iosim.profile import load
from iosim.record import Record
from iosim.scenario import Scenario, from_data
from iosim.simulation import run_once

Data = dict[str, Any]


def serving(traffic: str) -> list[str]:
    """The names of all I/O models that serve such traffic."""
    return [
        name
        for name, module in kinds("io_models").items()
        if getattr(module, "SERVES", "requests") == traffic
    ]


OPTIONS: dict[str, list[Data]] = {
    "blocking": [{"own_work_thread": True}],
    "epoll": [
        {"trigger": "edge"},
        {"max_events": 1},
        {"min_wait": "100us"},
        {"trigger": "oneshot"},
        {"workers": 3},
        {"workers": 2, "trigger": "edge"},
        {"workers": 3, "trigger": "oneshot", "max_events": 1},
        {"workers": 3, "sharing": "shared_listener"},
        {"workers": 2, "sharing": "exclusive"},
        {"workers": 3, "sharing": "reuseport"},
    ],
    "prefork": [{"processes": 40}, {"wake": "herd", "processes": 30}],
    "nonblocking": [{"pause": "100us"}],
    "aio": [{"notify": "thread"}],
    "thread_pool": [{"threads": 2}, {"reader": "main"}],
    "thread_pool_callbacks": [{"offload": "handler", "threads": 2}],
    "asyncio": [{"api": "sockets"}],
    "coroutine": [{"max_events": 1}, {"flavour": "longjmp", "stack": "16KiB"}],
    # So short that it overflows.
    "signal_driven": [{"queue": 1}, {"queue": 4}],
    "io_uring": [
        {"multishot": True, "skip_send": True},
        {"sqpoll": True, "sq_thread_idle": "50us"},
        # So few that both rings overflow.
        {"entries": 2, "workers": 1},
        {"entries": 1, "sqpoll": True, "multishot": True},
    ],
    "goroutine": [
        {"processors": 1},
        {"sysmon": False},
        {"own_work_goroutine": True, "processors": 2, "stack": "8KiB"},
    ],
}
"""Options worth a run of their own; of a model that is not named, the defaults."""

CPU: Data = {"cpu": {"exponential": "20us"}}
MEASURED: Data = {
    "cpu": {
        "empirical": {
            "file": str(Path(__file__).parents[1] / "golden" / "durations.csv"),
            "column": "time",
            "unit": "us",
        }
    }
}
CALL: Data = {"call": "db"}
SLEEP: Data = {"sleep": "200us"}
NIC: Data = {"nic": {"latency": "30us"}}
FAR: Data = {"nic": {"latency": {"exponential": "100us"}}}
DB: Data = {"db": {"remote": {"latency": {"exponential": "200us"}, "concurrency": 4}}}
FAILING: Data = {
    "names": {"dns": {"latency": "200us", "cached": "50%", "loss": "5%", "timeout": "1ms"}},
    "files": {
        "disk": {
            "latency": {"exponential": "100us"},
            "bandwidth": "1GB/s",
            "queue_depth": 2,
            "page_cache_hit": "50%",
        }
    },
    "log": {"disk": {"latency": "50us", "access": "write", "fsync": True, "flush": "100us"}},
    "db": {
        "remote": {
            "latency": {"exponential": "100us"},
            "concurrency": 4,
            "error_rate": "20%",
            "errors": "at once",
            "stalls": {"gap": {"exponential": "5ms"}, "length": "1ms"},
        }
    },
}
COALESCED: Data = {
    "nic": {
        "latency": "30us",
        "bandwidth": "50MB/s",
        "coalesce": {"delay": "40us", "frames": 4, "budget": 3},
        "queues": 3,
        "steering": "hash",
    }
}
NOISE: Data = {
    "stolen": {"length": {"exponential": "300us"}, "gap": {"exponential": "2ms"}},
    "sibling": {"busy": "40%", "spell": {"exponential": "500us"}},
}
OWN: Data = {"own_work": {"chunk": "50us"}}


def _case(
    handler: list[Data],
    rate: str = "15k/s",
    workload: Data | None = None,
    devices: Data | None = None,
    server: Data | None = None,
    **machine: Any,
) -> Data:
    traffic = {"rate": rate, "connections": {"total": 20}, **(workload or {})}
    return {
        "machine": machine,
        "server": {"handler": handler, **(server or {})},
        "devices": devices or (DB if CALL in handler else {}),
        "workload": {"open": traffic},
        "run": {"duration": "20ms", "warm_up": "none", "seed": 7},
    }


REQUESTS: dict[str, Data] = {
    "plain": _case([CPU]),
    "two cores, calls": _case([CPU, CALL, CPU], cores=2),
    "card, two cores, cpython, round robin": _case(
        [CPU], cores=2, runtime="cpython", network=NIC, scheduler={"round_robin": {"slice": "1ms"}}
    ),
    "cpython, calls, own work": _case([CPU, CALL], server=OWN, runtime="cpython"),
    "card, calls, sleeps, impatient": _case(
        [CALL, CPU, SLEEP], workload={"timeout": "1ms", "backlog": 20}, network=NIC
    ),
    "card far away, two cores, own work, fifo": _case(
        [CPU], cores=2, server=OWN, network=FAR, scheduler="fifo"
    ),
    "card, cpython, sleeps, impatient": _case(
        [CPU, SLEEP], workload={"timeout": "800us"}, runtime="cpython", network=NIC
    ),
    "two cores, cpython, everything": _case(
        [CPU, CALL, SLEEP, CPU], cores=2, runtime="cpython", workload={"timeout": "3ms"}
    ),
    "overloaded": _case([CPU], rate="90k/s", workload={"timeout": "1ms", "backlog": 30}),
    "two cores, card, sleeps, own work": _case(
        [CPU, SLEEP], cores=2, network=FAR, server=OWN, workload={"backlog": 10}
    ),
    "a device that only blocks": _case(
        [CPU, CALL],
        devices={"db": {"remote": {"latency": "100us", "interface": "blocking"}}},
        cores=2,
        rate="5k/s",
    ),
    "two cores, names, files, errors": _case(
        [{"call": "names"}, CPU, {"call": "files"}, {"call": "db", "on_error": "retry"}],
        devices=FAILING,
        cores=2,
        rate="3k/s",
    ),
    "cpython, writes, names, impatient": _case(
        [{"call": "log"}, {"call": "names"}, {"call": "db"}, CPU],
        devices=FAILING,
        runtime="cpython",
        network=NIC,
        workload={"timeout": "3ms"},
        rate="3k/s",
    ),
    "one connection, working set": _case(
        [CPU], rate="5k/s", workload={"connections": {"total": 1}}, server={"working_set": "64KiB"}
    ),
    "connections come and go": _case(
        [CPU, CALL], workload={"connections": {"total": 20, "lifetime": 3}}, cores=2
    ),
    "connections come and go, card, cpython": _case(
        [CPU],
        workload={"connections": {"total": 20, "lifetime": 1}},
        rate="4k/s",
        network=FAR,
        runtime="cpython",
    ),
    "pipelined, slow senders": _case(
        [CPU, CALL],
        workload={
            "connections": {
                "total": 10,
                "pipeline": 3,
                "slow": {"share": "50%", "piece": "50B", "gap": "100us"},
            }
        },
    ),
    "large both ways, slow readers": _case(
        [CPU],
        rate="3k/s",
        workload={
            "request": "150KiB",
            "reply": "300KiB",
            "connections": {"total": 10, "receive_rate": "200MB/s"},
        },
        send_buffer="64KiB",
    ),
    "several large answers for slow readers at once": _case(
        [SLEEP],
        rate="5k/s",
        workload={
            "reply": "100KiB",
            "connections": {"total": 4, "receive_rate": "200MB/s", "pipeline": 4},
        },
        send_buffer="64KiB",
    ),
    "giving up, asking again": _case(
        [CPU, CALL, SLEEP],
        workload={
            "timeout": "1200us",
            "on_timeout": "close",
            "retry": {"attempts": 2, "backoff": "100us"},
            "connections": {"total": 20, "lifetime": 5},
        },
        rate="7k/s",
        server={"cancel": True},
        network=NIC,
    ),
    "two cores, a noisy host, a card that coalesces": _case(
        [CPU, CALL, CPU], cores=2, network=COALESCED, host_noise=NOISE
    ),
    "cpython, a noisy host, own work, sleeps": _case(
        [CPU, SLEEP], rate="8k/s", server=OWN, runtime="cpython", host_noise=NOISE
    ),
    "users": {
        **_case([CPU, CALL], cores=2),
        "workload": {
            "closed": {
                "users": 20,
                "think": {"exponential": "500us"},
                "connections": {"total": 30, "active": "80%"},
            }
        },
    },
    "bursts": {
        **_case([CPU, CALL], cores=2),
        "workload": {
            "on_off": {
                "rate": "40k/s",
                "on": {"exponential": "1ms"},
                "off": {"exponential": "2ms"},
                "connections": {"total": 20},
            }
        },
    },
    "rates that vary, far away, cpython": {
        **_case([CPU], network=FAR, runtime="cpython"),
        "workload": {
            "varying": {
                "rates": [
                    {"for": "2ms", "rate": "5k/s"},
                    {"for": "1ms", "rate": "30k/s"},
                    {"for": "1ms", "rate": "0/s"},
                ],
                "connections": {"total": 20},
            }
        },
    },
    "a trace, measured durations": {
        **_case([MEASURED, CALL], cores=2, network=FAR),
        "workload": {
            "trace": {"file": str(Path(__file__).parent / "trace.csv"), "connections": {"total": 5}}
        },
    },
    "classes of requests, one asking again": {
        **_case([], workload={"timeout": "4ms", "retry": {"attempts": 1}}, cores=2, rate="8k/s"),
        "devices": FAILING,
        "server": {
            "classes": {
                "get": {"weight": 6, "handler": [CPU]},
                "store": {"weight": 3, "handler": [CPU, CALL, SLEEP], "request": "20KiB"},
                "report": {
                    "weight": 1,
                    "handler": [{"cpu": "300us"}, {"call": "files"}],
                    "reply": "100KiB",
                },
                "ping": {"weight": 2},
            }
        },
    },
    "classes of requests, users, own work": {
        **_case([], server=OWN, network=NIC),
        "server": {
            **OWN,
            "classes": {
                "short": {"weight": 3, "handler": [CPU]},
                "long": {"handler": [SLEEP, CPU]},
            },
        },
        "workload": {"closed": {"users": 15, "think": "1ms", "connections": {"total": 20}}},
    },
    "nothing to do": _case([], cores=2, network=NIC),
}

ITEMS: dict[str, Data] = {
    name: {
        "machine": machine,
        "workload": {"producer_consumer": {"produce": {"exponential": "10us"}, **traffic}},
        "run": {"duration": "10ms", "warm_up": "none", "seed": 7},
    }
    for name, machine, traffic in (
        ("pair", {}, {"consume": "10us"}),
        (
            "many",
            {"cores": 2},
            {"consume": {"exponential": "12us"}, "producers": 3, "consumers": 2, "capacity": 2},
        ),
        ("cpython", {"cores": 2, "runtime": "cpython"}, {"consume": "10us", "consumers": 2}),
    )
}

PROFILES = ("reference", "free")


@dataclass(frozen=True)
class Case:
    """One model, with its options, in one situation, at one profile's costs."""

    model: str
    options: int
    situation: str
    profile: str = "reference"

    @property
    def scenario(self) -> Scenario:
        data = {**REQUESTS, **ITEMS}[self.situation]
        options: Data = ([{}, *OPTIONS.get(self.model, [])])[self.options]
        return from_data({**data, "models": [{self.model: options}]})

    @property
    def costs(self) -> Costs:
        return _costs(self.profile)

    def __str__(self) -> str:
        options = f"+{self.options}" if self.options else ""
        return f"{self.model}{options}, {self.situation}, {self.profile}"


@cache
def _costs(profile: str) -> Costs:
    return load(profile).costs


def _all_cases() -> list[Case]:
    cases = []
    for traffic, situations in (("requests", REQUESTS), ("items", ITEMS)):
        for model in serving(traffic):
            for situation in situations:
                cases.append(Case(model, 0, situation))
            # Options, and no costs at all, in a few situations each.
            for number in range(1, 1 + len(OPTIONS.get(model, []))):
                for situation in list(situations)[number : number + 9 : 2]:
                    cases.append(Case(model, number, situation))
            for situation in list(situations)[:8]:
                # Asking costs a nanosecond where nothing costs anything: too many asks.
                if (
                    model != "nonblocking"
                    or SLEEP not in situations[situation]["server"]["handler"]
                ):
                    cases.append(Case(model, 0, situation, "free"))
    return cases


CASES = _all_cases()

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def some_cases(every: int) -> pytest.MarkDecorator:
    """Every so-many-th case: for what costs a run more."""
    return pytest.mark.parametrize("case", CASES[::every], ids=str)


# -------------------------------------------------------------------- what is seen of a run


@dataclass
class Seen(Trace):
    """A trace that keeps what is asked of it afterwards."""

    delivered_requests: dict[int, Request] = field(default_factory=dict)
    deliveries: list[tuple[int, int]] = field(default_factory=list)
    """(request, when) of each arrival at the server."""
    voluntary: int = 0
    involuntary: int = 0
    woken: int = 0
    clock_ns: int = 0
    backwards: int = 0

    def _at(self, at_ns: int) -> None:
        self.backwards += at_ns < self.clock_ns
        self.clock_ns = at_ns

    def spawned(self, thread: Thread, at_ns: int) -> None:
        self._at(at_ns)

    def dispatched(self, thread: Thread, core: Core, at_ns: int, runs_ns: int) -> None:
        self._at(at_ns)
        assert runs_ns >= at_ns
        assert core.current is thread
        assert thread.core is core

    def ran(
        self, thread: Thread, core: Core, from_ns: int, to_ns: int, segments: list[Segment]
    ) -> None:
        self._at(to_ns)
        assert from_ns <= to_ns
        assert to_ns - from_ns <= sum(ns for _, ns, _ in segments)

    def preempted(self, thread: Thread, core: Core, at_ns: int, by: Thread) -> None:
        self._at(at_ns)
        self.involuntary += 1

    def slept(self, thread: Thread, core: Core, at_ns: int, on: WaitQueue) -> None:
        self._at(at_ns)
        self.voluntary += 1

    def woke(self, thread: Thread, at_ns: int) -> None:
        self._at(at_ns)
        self.woken += 1

    def ended(self, thread: Thread, core: Core, at_ns: int) -> None:
        self._at(at_ns)

    def interrupted(self, core: Core, at_ns: int, ns: int) -> None:
        assert ns >= 0

    def stolen(self, core: Core, at_ns: int, ns: int) -> None:
        self._at(at_ns)
        assert ns > 0

    def delivered(self, request: Request, at_ns: int) -> None:
        self.delivered_requests[request.number] = request
        self.deliveries.append((request.number, at_ns))


@dataclass(frozen=True)
class Run:
    """A case's record, the trace of the run, and the answers that left the server."""

    record: Record
    seen: Seen
    replies: tuple[tuple[int, int], ...]
    """(request, when) of each answer."""

    @property
    def answered(self) -> list[Request]:
        return [r for r in self.seen.delivered_requests.values() if r.state == ANSWERED]


@contextmanager
def replies_kept() -> Iterator[list[tuple[int, int]]]:
    """Keep each answer that leaves the server."""
    replies: list[tuple[int, int]] = []
    receive = clients.Client.receive

    def kept(self: clients.Client, socket: Any, message: Request, at_ns: int) -> None:
        replies.append((message.number, at_ns))
        receive(self, socket, message, at_ns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients.Client, "receive", kept)
        yield replies


@cache
def traced(case: Case) -> Run:
    """Run a case under a trace."""
    seen = Seen()
    scenario = case.scenario
    with replies_kept() as replies:
        record = run_once(scenario, scenario.models[0], case.costs, 0, trace=seen)
    return Run(record, seen, tuple(replies))


@cache
def untraced_once(case: Case) -> dict[str, Any]:
    """What a case without a trace gives, as plain data."""
    return plain(untraced(case))


def untraced(case: Case, replication: int = 0) -> Record:
    """Run a case without a trace."""
    scenario = case.scenario
    return run_once(scenario, scenario.models[0], case.costs, replication)


def plain(record: Record) -> dict[str, Any]:
    """A record as data that can be compared."""
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    responses: Histogram = values["responses"]
    values["responses"] = (responses.count, responses.total_ns, responses.to_pairs())
    return values


def chosen(scenario: Scenario) -> Chosen[Any]:
    """The only model of a scenario."""
    return scenario.models[0]
