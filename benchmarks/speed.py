"""How fast iosim simulates, beside an idiomatic SimPy version of the same model.

    python benchmarks/speed.py [--seconds 2] [--repeat 5]

Prints, for each model and number of connections, simulated requests per second of CPU
time for both, taking turns in one process so that both meet the same machine; the median
of the ratios pair by pair; and, of both, what should agree: mean and 99th percentile of the
response time, voluntary switches and CPU time in syscalls per request. Speeds of a shared
machine vary by a factor of two: look at the ratio.
"""

import argparse
import statistics
import time

import idiomatic
import numpy as np

from iosim.profile import load
from iosim.scenario import from_data
from iosim.simulation import run_once

FEW, MANY = 25_000, 20_000
"""Requests a second; with many connections a thread each carries no more than some 24,000."""
DEMAND_NS = 20_000


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
    costs = load("reference").costs
    rate_per_s = FEW if connections < 1_000 else MANY
    scenario = from_data(
        {
            "workload": {
                "open": {"rate": f"{rate_per_s}/s", "connections": {"total": connections}}
            },
            "models": [model],
            "run": {"duration": f"{round(seconds * 1000)}ms", "warm_up": "none"},
            "server": {"handler": [{"cpu": f"{DEMAND_NS}ns"}]},
        }
    )
    own, other = [], []
    for _ in range(repeat):
        begun = time.process_time()
        record = run_once(scenario, scenario.models[0], costs, 0)
        own.append(record.completed / (time.process_time() - begun))
        begun = time.process_time()
        outcome = idiomatic.run(
            model, costs, connections, rate_per_s, DEMAND_NS, round(seconds * 1e9)
        )
        other.append(len(outcome.responses_ns) / (time.process_time() - begun))
    ratio = statistics.median(a / b for a, b in zip(own, other, strict=True))
    mean_us = record.responses.total_ns / record.answered / 1e3
    p99_us = (record.responses.percentile(99) or 0) / 1e3
    syscall_us = record.cores_ns[0]["syscall"] / record.answered / 1e3
    responses_us = np.array(outcome.responses_ns) / 1e3
    completed = len(responses_us)
    print(
        f"{model:10} {connections:6} {statistics.median(own):12,.0f} "
        f"{statistics.median(other):12,.0f} {ratio:6.2f}  "
        f"{record.events / record.completed:5.2f} {outcome.events / completed:5.2f}  "
        f"{mean_us:6.1f} {responses_us.mean():6.1f}  "
        f"{p99_us:6.1f} {np.percentile(responses_us, 99):6.1f}  "
        f"{record.voluntary_switches / record.answered:6.3f} "
        f"{outcome.switches / completed:6.3f}  "
        f"{syscall_us:6.2f} {outcome.cpu_ns['syscall'] / completed / 1e3:7.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
