"""A trace of a million packets: how much memory, and how long it takes.

    python benchmarks/trace_writing.py [--packets 1000000] [--model epoll]

Two ways: packets written one after the other, and a simulated run traced for so long that there
are so many. For each: packets, the file's size, the most memory that Python had at once beyond
what it had before, for a tenth of the packets and for all (flat: both are alike), and packets a
second of CPU time. Memory is taken in runs of their own, which that makes slow.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import iosim
from iosim.report.perfetto.packets import Packets
from iosim.scenario import from_data

SHORT_NS = 10_000_000
Run = Callable[[Path, int], int]
"""Writes a file of about so many packets, and says how many there are."""


def written(path: Path, packets: int) -> int:
    """Slices of one thread."""
    with path.open("wb") as file:
        writer = Packets(file)
        for index in range(packets // 2):
            writer.begin(2, index * 1_000, "recvfrom", "syscall")
            writer.end(2, index * 1_000 + 500)
    return writer.written


def simulated(model: str) -> Run:
    """A run of `model` at 20,000 requests a second."""
    scenario = from_data(
        {
            "machine": {"cores": 2},
            "server": {"handler": [{"cpu": "20us"}]},
            "workload": {"open": {"rate": "20k/s", "connections": {"total": 100}}},
            "models": [model],
            "run": {"duration": "10min", "replications": 1},
        }
    )

    def run(path: Path, packets: int) -> int:
        of_short = iosim.trace(scenario, model, path, duration=SHORT_NS).packets
        duration_ns = SHORT_NS * packets // of_short
        return iosim.trace(scenario, model, path, duration=duration_ns).packets

    return run


def peak_bytes(run: Run, path: Path, packets: int) -> int:
    """The most memory that was in use beyond what was before."""
    run(path, 1_000)  # what is loaded and made once
    tracemalloc.start()
    try:
        run(path, packets)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--model", default="epoll")
    arguments = parser.parse_args()
    heads = ("packets", "MiB", "KiB, a tenth", "KiB, all", "packets/s")
    print(f"{'':10}" + "".join(f"{head:>14}" for head in heads))
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.pftrace")
        for name, run in (("writer", written), ("simulated", simulated(arguments.model))):
            begin_s = time.process_time()
            packets = run(path, arguments.packets)
            per_s = packets / (time.process_time() - begin_s)
            size_mib = path.stat().st_size / 2**20
            few, many = (
                peak_bytes(run, path, count) / 1024
                for count in (arguments.packets // 10, arguments.packets)
            )
            print(
                f"{name:10}{packets:>14,}{size_mib:>14.1f}{few:>14.0f}{many:>14.0f}{per_s:>14,.0f}"
            )


if __name__ == "__main__":
    main()
