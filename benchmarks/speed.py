"""How fast iosim simulates, beside an idiomatic SimPy version of the same model.

    python benchmarks/speed.py [--seconds 2] [--repeat 5]

Prints, for each model and number of connections, simulated requests per second of CPU time for
both; the median of the ratios pair by pair; and, of both, what should agree: mean and 99th
percentile of the response time, voluntary switches and CPU time in syscalls per request.

The two take turns, so that both meet the same machine, each time in a process of its own, as a
user runs it: what one leaves behind in the memory slows the other. A short run comes first, for
imports. Speeds of a shared machine vary by a factor of two: look at the ratio.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import idiomatic
import numpy as np

from iosim.profile import load
from iosim.scenario import from_data
from iosim.simulation import run_once

FEW, MANY = 25_000, 20_000
"""Requests a second; with many connections a thread each carries no more than some 24,000."""
DEMAND_NS = 20_000
SHORT_S = 0.05


@dataclass(frozen=True)
class Figures:
    """One run: what it took, and what it tells."""

    requests: int
    cpu_s: float
    events: int
    mean_us: float
    p99_us: float
    switches_per_request: float
    syscall_us_per_request: float

    @property
    def requests_per_s(self) -> float:
        """Simulated requests per second of CPU time."""
        return self.requests / self.cpu_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="simulated time of each run")
    parser.add_argument("--repeat", type=int, default=5, help="pairs of runs")
    parser.add_argument("--models", nargs="+", default=["blocking", "epoll", "coroutine"])
    parser.add_argument("--connections", nargs="+", type=int, default=[100, 10_000])
    arguments = parser.parse_args()
    print(
        f"{'model':10} {'conns':>6} {'iosim req/s':>12} {'SimPy req/s':>12} {'ratio':>6}"
        f"  {'events/req':>11}  {'mean us':>13}  {'p99 us':>13}  {'switches/req':>13}"
        f"  {'syscall us/req':>14}"
    )
    for connections in arguments.connections:
        for model in arguments.models:
            compare(model, connections, arguments.seconds, arguments.repeat)


def compare(model: str, connections: int, seconds: float, repeat: int) -> None:
    """Run both in turn and print one line."""
    pairs = [
        (
            alone(by_iosim, model, connections, seconds),
            alone(by_simpy, model, connections, seconds),
        )
        for _ in range(repeat)
    ]
    own_per_s = statistics.median(own.requests_per_s for own, _ in pairs)
    its_per_s = statistics.median(its.requests_per_s for _, its in pairs)
    ratio = statistics.median(own.requests_per_s / its.requests_per_s for own, its in pairs)
    own, its = pairs[-1]
    print(
        f"{model:10} {connections:6} {own_per_s:12,.0f} {its_per_s:12,.0f} {ratio:6.2f}  "
        f"{own.events / own.requests:5.2f} {its.events / its.requests:5.2f}  "
        f"{own.mean_us:6.1f} {its.mean_us:6.1f}  {own.p99_us:6.1f} {its.p99_us:6.1f}  "
        f"{own.switches_per_request:6.3f} {its.switches_per_request:6.3f}  "
        f"{own.syscall_us_per_request:6.2f} {its.syscall_us_per_request:7.2f}",
        flush=True,
    )


def alone(
    run: Callable[[str, int, float], Figures], model: str, connections: int, seconds: float
) -> Figures:
    """The figures of a run in a fresh process, after a short one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        process.submit(run, model, connections, SHORT_S).result()
        return process.submit(run, model, connections, seconds).result()


def rate_per_s(connections: int) -> int:
    """How much is asked of so many connections."""
    return FEW if connections < 1_000 else MANY


def by_iosim(model: str, connections: int, seconds: float) -> Figures:
    """One run of iosim."""
    load_of = {"rate": f"{rate_per_s(connections)}/s", "connections": {"total": connections}}
    scenario = from_data(
        {
            "workload": {"open": load_of},
            "models": [model],
            "run": {"duration": f"{round(seconds * 1000)}ms", "warm_up": "none"},
            "server": {"handler": [{"cpu": f"{DEMAND_NS}ns"}]},
        }
    )
    costs = load("reference").costs
    begun = time.process_time()
    record = run_once(scenario, scenario.models[0], costs, 0)
    return Figures(
        requests=record.completed,
        cpu_s=time.process_time() - begun,
        events=record.events,
        mean_us=record.responses.total_ns / record.answered / 1e3,
        p99_us=(record.responses.percentile(99) or 0) / 1e3,
        switches_per_request=record.voluntary_switches / record.answered,
        syscall_us_per_request=record.cores_ns[0]["syscall"] / record.answered / 1e3,
    )


def by_simpy(model: str, connections: int, seconds: float) -> Figures:
    """One run of the idiomatic version."""
    costs = load("reference").costs
    rate = rate_per_s(connections)
    begun = time.process_time()
    outcome = idiomatic.run(model, costs, connections, rate, DEMAND_NS, round(seconds * 1e9))
    cpu_s = time.process_time() - begun
    completed = len(outcome.responses_ns)
    responses_us = np.array(outcome.responses_ns) / 1e3
    return Figures(
        requests=completed,
        cpu_s=cpu_s,
        events=outcome.events,
        mean_us=float(responses_us.mean()),
        p99_us=float(np.percentile(responses_us, 99)),
        switches_per_request=outcome.switches / completed,
        syscall_us_per_request=outcome.cpu_ns["syscall"] / completed / 1e3,
    )


if __name__ == "__main__":
    main()
