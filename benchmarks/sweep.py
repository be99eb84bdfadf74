"""Sweeps: points a minute, memory, scaling from one core to two; and a sweep that is killed.

    python benchmarks/sweep.py pace [--points 1000] [--jobs 1,2]     some half an hour on two cores
    python benchmarks/sweep.py memory [--points 1000,4000,16000]     of the sweep, not of its runs
    python benchmarks/sweep.py killed [--points 200]

`pace`: points of `epoll` and `blocking`, 2 s simulated at 5,000 requests a second each: points a
minute, the largest resident memory of the sweep itself and of one worker, and how many times as
fast so many processes are as one.

`memory`: the sweep's own peak, after two parts and at its end, for points whose runs last 1 ms: it
should grow by no more than two hashes a point, some 400 bytes.

`killed`: a worker ended by SIGKILL when a quarter of the points are done, the sweep itself at half;
then the same again. The table must be that of a sweep that nobody killed, to the bit.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from iosim.scenario import Scenario, from_data
from iosim.studies.store import POINTS_A_PART
from iosim.studies.sweep import sweep
from iosim.studies.swept import Standing, Sweep

LOAD = {
    "server": {"handler": [{"cpu": "20us"}, {"call": "cache"}, {"cpu": "5us"}]},
    "devices": {"cache": {"remote": {"latency": {"exponential": "200us"}}}},
    "workload": {"open": {"rate": "5k/s", "connections": {"total": 100}}},
    "models": ["epoll", "blocking"],
}

EARLY = 2 * POINTS_A_PART
"""By then everything has been loaded that a sweep needs."""


def scenario(duration: str) -> Scenario:
    """A server that computes and asks a cache; one replication of it."""
    return from_data({**LOAD, "run": {"duration": duration, "replications": 1}})


def over(points: int) -> dict[str, str]:
    """As many working sets, none of which is run twice."""
    return {"server.working_set": f"1KiB..{points}KiB:linear {points}"}


def peak_bytes(who: int) -> int:
    """The largest resident memory of this process, or of one of those it has waited for."""
    return resource.getrusage(who).ru_maxrss * 1024


def pace(points: int, jobs: list[int]) -> None:
    """Points a minute with so many processes."""
    first_s = None
    print(f"{points:,} points of epoll and blocking, 2 s simulated at 5,000 requests/s")
    print(f"{'jobs':>4} {'points/min':>11} {'faster':>7} {'sweep':>9} {'a worker':>9}")
    for count in jobs:
        before_s = time.monotonic()
        swept = sweep(scenario("2s"), over(points), jobs=count)
        took_s = time.monotonic() - before_s
        assert swept.standing.done == points
        first_s = first_s or took_s
        own, workers = peak_bytes(resource.RUSAGE_SELF), peak_bytes(resource.RUSAGE_CHILDREN)
        print(
            f"{count:4} {60 * points / took_s:11.1f} {first_s / took_s:6.2f}x "
            f"{own / 2**20:5.0f} MiB {workers / 2**20:5.0f} MiB",
            flush=True,
        )


def memory(points: list[int]) -> None:
    """The sweep's own peak, in a process of its own for each number of points."""
    print(f"{'points':>7} {'after one part':>15} {'at the end':>11} {'a point':>9}")
    for count in points:
        command = [sys.executable, __file__, "hold", "--points", str(count)]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        early, late = map(int, told.split())
        more = (late - early) / (count - EARLY)
        print(
            f"{count:7,} {early / 2**20:11.1f} MiB {late / 2**20:7.1f} MiB {more:7,.0f} B",
            flush=True,
        )


def hold(points: int) -> None:
    """Print this process's peak when `EARLY` points are done, and when all are."""

    def progress(now: Standing) -> None:
        if now.done == EARLY:
            print(peak_bytes(resource.RUSAGE_SELF))

    sweep(scenario("1ms"), over(points), jobs=2, progress=progress)
    print(peak_bytes(resource.RUSAGE_SELF))


def killed(points: int) -> None:
    """Whether a sweep that was killed ends in the same table."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "die", "--points", str(points), "--folder", folder]
        code = subprocess.run(command, check=False).returncode
        assert code == -signal.SIGKILL, f"expected it to be killed, found exit code {code}"
        again = _short(points, folder)
        print(f"killed: {again.standing.kept} points kept, {again.standing.done} run afterwards")
        whole = _short(points)
        same = again.table.equals(whole.table) and again.estimates.equals(whole.estimates)
        print(f"the table of {points} points is {'the same to the bit' if same else 'ANOTHER'}")
        if not same:
            sys.exit(1)


def die(points: int, folder: str) -> None:
    """Sweep, kill a worker on the way, and then this process."""

    def progress(now: Standing) -> None:
        if now.done == points // 4:
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            os.kill(int(children[0]), signal.SIGKILL)
        if now.done == points // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    sweep(scenario("20ms"), over(points), jobs=2, folder=folder, progress=progress)


def _short(points: int, folder: str | None = None) -> Sweep:
    return sweep(scenario("20ms"), over(points), jobs=2, folder=folder)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("pace", "memory", "killed", "hold", "die"))
    parser.add_argument("--points")
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("--folder", default="")
    given = parser.parse_args()
    if given.what == "pace":
        pace(int(given.points or 1000), [int(each) for each in given.jobs.split(",")])
    elif given.what == "memory":
        memory([int(each) for each in (given.points or "1000,4000,16000").split(",")])
    elif given.what == "hold":
        hold(int(given.points))
    elif given.what == "killed":
        killed(int(given.points or 200))
    else:
        die(int(given.points), given.folder)


if __name__ == "__main__":
    main()
