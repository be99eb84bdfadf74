"""Threads on one core that hand a token round, each touching its working set: lmbench's lat_ctx.

The time of one hand-over less the call that makes it is the whole cost of a switch: direct
and, by what the others have thrown out of the caches, refill.
"""

from iosim.machine.clock import Clock
from iosim.machine.costs import Costs
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.machine.thread import RUN, Program, WaitQueue
from iosim.schedulers import fifo

ROUNDS = 50


def switch_ns(costs: Costs, threads: int, working_set_bytes: int) -> float:
    """Mean cost of a switch in a ring of `threads`, each with such a working set."""
    machine = Machine(
        Clock(),
        1,
        lambda: fifo.Queue(fifo.Options()),
        costs,
        lambda thread, machine, native: Kernel(thread, machine),
        # On top of what every thread touches, so that zero is a ring without data.
        working_set_bytes=working_set_bytes,
    )
    places = [WaitQueue(f"place {number}") for number in range(threads)]
    passed_ns: list[int] = []
    for number in range(threads):
        machine.spawn(f"thread {number}", lambda kernel, n=number: _pass(kernel, places, n))
    machine.spawn("start", lambda kernel: _start(kernel, places, passed_ns))
    machine.env.run()
    begun_ns, ended_ns = passed_ns
    return (ended_ns - begun_ns) / (ROUNDS * threads) - costs.wake_up_ns


def _pass(kernel: Kernel, places: list[WaitQueue], number: int) -> Program:
    """Wait for the token, pass it on; once more than the rounds that are timed."""
    for _ in range(ROUNDS + 2):
        stopwatch = yield places[number]
        if number == 0:
            stopwatch.append(kernel.env._now)
        yield RUN
        following = places[(number + 1) % len(places)]
        if following.sleepers:
            kernel.thread.charge(1, kernel.costs.wake_up_ns, "pass on")
            yield RUN
            kernel.machine.wake_one(following, stopwatch)


def _start(kernel: Kernel, places: list[WaitQueue], passed_ns: list[int]) -> Program:
    """The token comes to the first when all are asleep; the first and last rounds are cut off."""
    stopwatch: list[int] = []
    yield from kernel.nanosleep(1_000_000_000)
    kernel.machine.wake_one(places[0], stopwatch)
    yield from kernel.nanosleep(1_000_000_000_000)
    passed_ns += [stopwatch[1], stopwatch[1 + ROUNDS]]
