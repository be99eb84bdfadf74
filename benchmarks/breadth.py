"""What every I/O model costs to simulate, and every extra of workload, devices and host.

    python benchmarks/breadth.py [models|extras] [--seconds 0.5] [--repeat 3]

`models`: simulated requests per second of CPU time for each model, at 100 and at 10,000
connections, beside `epoll` at 100; `events`: SimPy events a request. `extras`: the CPU time of a
simulated request of `epoll` with one extra, beside the same without, and with the extra written
down as what it is by default: off, it costs nothing. All of a line take turns in one process, and
the median of the ratios is told: speeds of a shared machine vary by a factor of two.
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from typing import Any

from iosim.plugins import kinds
from iosim.profile import load
from iosim.scenario import Scenario, from_data
from iosim.simulation import run_once

RATE_PER_S = {100: 20_000, 10_000: 10_000}
"""What the slowest of the models nearly carries."""
SLOW_RATE_PER_S = {"nonblocking": 2_000, "select": 5_000, "poll": 2_000, "aio": 8_000}
"""Of those that carry less at 10,000 connections, or that look at each all the time."""

Extra = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Parts of a scenario: with it, and as it is by default."""

CONNECTIONS = "workload.open.connections"
EXTRAS: Mapping[str, Extra] = {
    "a timeout": ({"workload.open.timeout": "1s"}, {"workload.open.timeout": None}),
    "retries": (
        {"workload.open.timeout": "1s", "workload.open.retry": {"attempts": 2}},
        {"workload.open.retry": None},
    ),
    "lifetime of 10 requests": ({f"{CONNECTIONS}.lifetime": 10}, {f"{CONNECTIONS}.lifetime": None}),
    "pipelining": ({f"{CONNECTIONS}.pipeline": 4}, {f"{CONNECTIONS}.pipeline": 1}),
    "slow senders, 10%": (
        {f"{CONNECTIONS}.slow": {"share": "10%", "piece": "32B", "gap": "100us"}},
        {f"{CONNECTIONS}.slow": None},
    ),
    "slow readers": (
        {f"{CONNECTIONS}.receive_rate": "1GB/s"},
        {f"{CONNECTIONS}.receive_rate": None},
    ),
    "two classes": (
        {
            "server": {
                "classes": {
                    "a": {"handler": [{"cpu": "20us"}]},
                    "b": {"handler": [{"cpu": "20us"}]},
                }
            }
        },
        {},
    ),
    "a stolen core": ({"machine.host_noise": {"stolen": {}}}, {"machine.host_noise": None}),
    "a sibling thread": ({"machine.host_noise": {"sibling": {}}}, {"machine.host_noise": None}),
    "a network card": (
        {"machine.network": {"nic": {"latency": "20us"}}},
        {"machine.network": "loopback"},
    ),
    "an interpreter lock": ({"machine.runtime": "cpython"}, {"machine.runtime": "native"}),
    "bursts": (
        {
            "workload": {
                "on_off": {
                    "rate": "20k/s",
                    "on": {"exponential": "5ms"},
                    "off": {"exponential": "5ms"},
                }
            }
        },
        {},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["models", "extras", "both"], default="both")
    parser.add_argument("--seconds", type=float, default=0.5, help="simulated time of each run")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each")
    arguments = parser.parse_args()
    Runs(scenario("epoll", 100, 0.1, {}, RATE_PER_S[100])).once_more()  # all modules are loaded
    if arguments.what != "extras":
        models(arguments.seconds, arguments.repeat)
    if arguments.what != "models":
        extras(arguments.seconds, arguments.repeat)


def scenario(
    model: str, connections: int, seconds: float, changes: Mapping[str, Any], rate_per_s: int
) -> Scenario:
    """A server that computes 20 us for each request."""
    data: dict[str, Any] = {
        "machine": {"cores": 1},
        "server": {"handler": [{"cpu": "20us"}]},
        "workload": {"open": {"rate": f"{rate_per_s}/s", "connections": {"total": connections}}},
        "models": [model],
        "run": {"duration": f"{round(seconds * 1000)}ms", "warm_up": "none"},
    }
    for path, value in changes.items():
        *folders, name = path.split(".")
        place = data
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return from_data(data)


class Runs:
    """Runs of one scenario: how much CPU time a request took to simulate."""

    def __init__(self, wanted: Scenario) -> None:
        self._scenario = wanted
        self._costs = load("reference").costs
        self.ns_per_request: list[float] = []
        self.events_per_request = 0.0

    def once_more(self) -> None:
        """Run it again."""
        begun_ns = time.process_time_ns()
        record = run_once(self._scenario, self._scenario.models[0], self._costs, 0)
        took_ns = time.process_time_ns() - begun_ns
        self.ns_per_request.append(took_ns / record.completed)
        self.events_per_request = record.events / record.completed

    def per_s(self) -> float:
        """Simulated requests per second of CPU time."""
        return 1e9 / statistics.median(self.ns_per_request)


def ratio(runs: Runs, base: Runs) -> float:
    """How many times the CPU time of `base`, as the median of the turns."""
    return statistics.median(
        own / other for own, other in zip(runs.ns_per_request, base.ns_per_request, strict=True)
    )


def models(seconds: float, repeat: int) -> None:
    """Print a line for each model and number of connections."""
    servers = [
        name
        for name, module in kinds("io_models").items()
        if getattr(module, "SERVES", "requests") == "requests"
    ]
    print(f"{'model':24} {'conns':>6} {'req/s':>8} {'beside epoll at 100':>20} {'events':>7}")
    for connections, usual_per_s in RATE_PER_S.items():
        for model in servers:
            if model == "select" and connections > 1_000:
                continue  # FD_SETSIZE
            rate_per_s = usual_per_s
            if connections > 1_000:
                rate_per_s = SLOW_RATE_PER_S.get(model, usual_per_s)
            runs = Runs(scenario(model, connections, seconds, {}, rate_per_s))
            base = Runs(scenario("epoll", 100, seconds, {}, RATE_PER_S[100]))
            for _ in range(repeat):
                runs.once_more()
                base.once_more()
            print(
                f"{model:24} {connections:6} {runs.per_s():8,.0f} {1 / ratio(runs, base):20.2f}"
                f" {runs.events_per_request:7.2f}",
                flush=True,
            )


def extras(seconds: float, repeat: int) -> None:
    """Print a line for each extra."""
    print(f"{'extra':24} {'off':>6} {'on':>6} {'events on':>10}   (CPU time; without it: 1)")
    for name, (on, off) in EXTRAS.items():
        three = [
            Runs(scenario("epoll", 100, seconds, changes, RATE_PER_S[100]))
            for changes in ({}, off, on)
        ]
        for _ in range(repeat):
            for runs in three:
                runs.once_more()
        base, without, with_it = three
        print(
            f"{name:24} {ratio(without, base):6.2f} {ratio(with_it, base):6.2f}"
            f" {with_it.events_per_request:10.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
