"""How repeatable a real run is, and how far the simulated one is off, on this machine.

    python benchmarks/repeatability.py [--seconds 4] [--repetitions 3] [--runtime native]

For `epoll`, `blocking` and `coroutine`: the saturation throughput, then 20% and 50% of it, each
several times. Printed: mean, coefficient of variation over the repetitions in %, and behind the
slash what the simulator says of the same scenario with the reference profile. A `!` marks
figures of runs that something else disturbed.
"""

import argparse
import statistics
from typing import Any

import iosim
from iosim.scenario import from_data

MODELS = ("epoll", "blocking", "coroutine")
METRICS = {
    "voluntary_switches_per_request": ("switches/req", 1),
    "syscalls_per_request": ("syscalls/req", 1),
    "cpu_time_per_request_ns": ("CPU us/req", 1e3),
    "response_time_p50_ns": ("p50 us", 1e3),
    "response_time_p95_ns": ("p95 us", 1e3),
    "response_time_p99_ns": ("p99 us", 1e3),
}


def scenario(runtime: str, model: str, rate_per_s: float, seconds: float, count: int) -> Any:
    """One server core, 16 connections, 20 us of work."""
    return from_data(
        {
            "name": "repeatability",
            "machine": {"cores": 1, "runtime": runtime},
            "server": {"handler": [{"cpu": "20us"}]},
            "workload": {"open": {"rate": f"{rate_per_s:.0f}/s", "connections": {"total": 16}}},
            "models": [model],
            "run": {"duration": f"{seconds * 1000:.0f}ms", "replications": count},
        }
    )


def told(values: list[float], simulated: float | None, scale: float) -> str:
    mean = statistics.mean(values)
    cv = 100 * statistics.stdev(values) / mean if mean else 0.0
    beside = "-" if simulated is None else f"{simulated / scale:.3g}"
    return f"{mean / scale:.3g} ({cv:.0f}%) / {beside}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--runtime", choices=["native", "cpython"], action="append")
    arguments = parser.parse_args()
    length = arguments.seconds, arguments.repetitions
    print("runtime model load rate |", " | ".join(name for name, _ in METRICS.values()))
    for runtime in arguments.runtime or ["native", "cpython"]:
        for model in MODELS:
            most = iosim.saturate(scenario(runtime, model, 1000, *length), count_syscalls=False)
            values = [value or 0.0 for value in most[model].values["throughput_per_s"]]
            print(f"{runtime} {model} saturation | {told(values, None, 1)}", flush=True)
            for share in (0.2, 0.5):
                here = scenario(runtime, model, share * statistics.mean(values), *length)
                real, simulated = iosim.measure(here)[model], iosim.simulate(here)[model]
                if real.error:
                    print(f"{runtime} {model} {share:.0%} | {real.error}")
                    continue
                cells = [
                    told([v or 0.0 for v in real.values[name]], simulated.metrics[name].mean, scale)
                    for name, (_, scale) in METRICS.items()
                ]
                mark = "!" if real.warnings else ""
                rate = share * statistics.mean(values)
                where = f"{runtime} {model} {share:.0%} {rate:.0f}/s{mark}"
                print(where, "|", " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
