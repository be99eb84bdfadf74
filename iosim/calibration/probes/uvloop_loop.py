"""Probes of uvloop's loop: as those of asyncio's, with the same callbacks, tasks and streams.

    a pass | callbacks: 1 or n of them; one of them counts | epoll_wait: nothing | a pass | ...

Writing to a transport is timed over a pipe, whose write(2) costs little beside it.

Validated by: tests/calibration/test_probes.py
"""

import asyncio
import os
from asyncio.streams import FlowControlMixin
from collections.abc import Callable
from time import perf_counter_ns
from typing import Final

from iosim.calibration.probes.asyncio_loop import Loop, callbacks, echoes, tasks
from iosim.calibration.probes.needs import UVLOOP
from iosim.calibration.probes.registry import Place, Series, probe

_ROUNDS: Final = 100
_MESSAGE: Final = bytes(64)


def _new_loop() -> Loop:
    from uvloop import new_event_loop

    loop: Loop = new_event_loop()
    return loop


@probe("uvloop_loop_pass|1 callback", samples=40, needs=[UVLOOP])
def pass_with_a_callback(place: Place) -> Series:
    """A pass with one callback, that has itself called again by call_soon."""
    return callbacks(place, 1, _new_loop)


@probe("uvloop_loop_pass|{0} callbacks", arguments=[(100,)], samples=40, needs=[UVLOOP])
def pass_with_callbacks(place: Place, n: int) -> Series:
    """The same with n callbacks, each of which has itself called again."""
    return callbacks(place, n, _new_loop)


@probe("uvloop_loop_pass|1 task", samples=40, needs=[UVLOOP])
def pass_with_a_task(place: Place) -> Series:
    """A pass with one task, that goes on after sleep(0)."""
    return tasks(place, 1, _new_loop)


@probe("uvloop_loop_pass|{0} tasks", arguments=[(100,)], samples=40, needs=[UVLOOP])
def pass_with_tasks(place: Place, n: int) -> Series:
    """The same with n tasks that each go on after sleep(0)."""
    return tasks(place, n, _new_loop)


@probe("uvloop_streams|{0} echoed", arguments=[(16,)], samples=40, needs=[UVLOOP])
def streams_echo(place: Place, n: int) -> Series:
    """n messages by TCP that n tasks read from their streams and write back, all there when it
    begins: one pass reads them, and in the next the tasks write."""
    return echoes(place, n, _new_loop)


@probe("uvloop_StreamWriter_write|64B", samples=40, needs=[UVLOOP])
def stream_write(place: Place) -> Series:
    """64 B written to a StreamWriter over a pipe, which writes them at once: the write(2) is in
    it, see write_by_itself."""

    async def main() -> Series:
        reading, writing = os.pipe()
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(writing, "wb", buffering=0)
        transport, protocol = await loop.connect_write_pipe(FlowControlMixin, pipe)
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        return _drained(place, reading, lambda: writer.write(_MESSAGE))

    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main())


@probe("pipe_write_by_itself|64B", samples=40)
def write_by_itself(place: Place) -> Series:
    """64 B by os.write to a pipe; what has arrived is taken between samples."""
    reading, writing = os.pipe()
    return _drained(place, reading, lambda: os.write(writing, _MESSAGE))


def _drained(place: Place, reading: int, write: Callable[[], object]) -> Series:
    samples = []
    for _ in range(place.samples + 1):
        begun_ns = perf_counter_ns()
        for _ in range(_ROUNDS):
            write()
        samples.append((perf_counter_ns() - begun_ns) / _ROUNDS)
        received_bytes = 0
        while received_bytes < _ROUNDS * len(_MESSAGE):
            received_bytes += len(os.read(reading, 1 << 16))
    return [samples[1:]]
