"""Probes of asyncio's event loop: a pass of it, and what is done in one.

    pass | select: what is ready | callbacks: 1 or n of them; one of them counts | pass | ...

A sample is the mean of many passes. The selector is epoll; something is always due, so that
the loop never sleeps. What a transport or a protocol adds is left out.

Validated by: tests/calibration/test_probes.py
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns
from typing import Any, Final

from iosim.calibration.probes.registry import Place, Series, probe
from iosim.calibration.probes.sockets import connected

_PASSES: Final = 20
"""In a sample."""
_MESSAGE_BYTES: Final = 144
_ROUNDS: Final = 100
"""The same, where a coroutine goes round by itself."""

Loop = asyncio.AbstractEventLoop
NewLoop = Callable[[], Loop] | None
"""What makes a loop; None: asyncio's own."""


class _Passes:
    """Counts passes, and takes a sample of every so many."""

    def __init__(self, place: Place) -> None:
        self._wanted = place.samples + 1
        self._samples: list[float] = []
        self._left = _PASSES
        self._begun_ns = perf_counter_ns()
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def count(self) -> None:
        """To be called once in a pass."""
        self._left -= 1
        if self._left:
            return
        now_ns = perf_counter_ns()
        self._samples.append((now_ns - self._begun_ns) / _PASSES)
        if len(self._samples) == self._wanted:
            self.finished.set_result(None)
        self._begun_ns, self._left = now_ns, _PASSES

    async def series(self) -> Series:
        """When there are enough; the first, in which all began, is left out."""
        await self.finished
        return [self._samples[1:]]


def _measure(
    place: Place, occupy: Callable[[Loop, _Passes], object], new_loop: NewLoop = None
) -> Series:
    """Time passes in which the loop has what `occupy` gives it."""

    async def main() -> Series:
        passes = _Passes(place)
        _kept = occupy(asyncio.get_running_loop(), passes)
        return await passes.series()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main())


@probe("asyncio_loop_pass|1 callback", samples=40)
def pass_with_a_callback(place: Place) -> Series:
    """A pass with one callback, that has itself called again by call_soon."""
    return callbacks(place, 1)


@probe("asyncio_loop_pass|{0} callbacks", arguments=[(100,)], samples=40)
def pass_with_callbacks(place: Place, n: int) -> Series:
    """The same with n callbacks, each of which has itself called again."""
    return callbacks(place, n)


def callbacks(place: Place, n: int, new_loop: NewLoop = None) -> Series:
    """Passes with n callbacks, each of which has itself called again."""

    def occupy(loop: Loop, passes: _Passes) -> None:
        def counting() -> None:
            passes.count()
            loop.call_soon(counting)

        def other() -> None:
            loop.call_soon(other)

        for each in [counting, *[other] * (n - 1)]:
            loop.call_soon(each)

    return _measure(place, occupy, new_loop)


@probe("asyncio_loop_pass|1 task", samples=40)
def pass_with_a_task(place: Place) -> Series:
    """A pass with one task, that goes on after sleep(0)."""
    return tasks(place, 1)


@probe("asyncio_loop_pass|{0} tasks", arguments=[(100,)], samples=40)
def pass_with_tasks(place: Place, n: int) -> Series:
    """The same with n tasks that each go on after sleep(0)."""
    return tasks(place, n)


def tasks(place: Place, n: int, new_loop: NewLoop = None) -> Series:
    """Passes with n tasks that each go on after sleep(0)."""

    async def counting(passes: _Passes) -> None:
        while True:
            passes.count()
            await asyncio.sleep(0)

    async def other() -> None:
        while True:
            await asyncio.sleep(0)

    def occupy(loop: Loop, passes: _Passes) -> object:
        return [
            loop.create_task(each) for each in [counting(passes), *[other() for _ in range(n - 1)]]
        ]

    return _measure(place, occupy, new_loop)


@probe("asyncio_loop_pass|{0} futures", arguments=[(100,)], samples=40)
def pass_with_futures(place: Place, n: int) -> Series:
    """A pass in which n tasks go on because a future each is done, and one more that had set
    them in the pass before and goes on after sleep(0)."""

    def occupy(loop: Loop, passes: _Passes) -> object:
        awaited: list[asyncio.Future[None]] = [loop.create_future() for _ in range(n)]

        async def setting() -> None:
            while True:
                passes.count()
                for future in awaited:
                    if not future.done():
                        future.set_result(None)
                await asyncio.sleep(0)

        async def awaiting(i: int) -> None:
            while True:
                await awaited[i]
                awaited[i] = loop.create_future()

        return [loop.create_task(each) for each in [*map(awaiting, range(n)), setting()]]

    return _measure(place, occupy)


@probe("asyncio_loop_pass|1 readable", samples=40)
def pass_with_a_readable(place: Place) -> Series:
    """A pass with one socket that is readable, whose reader does not read."""
    return _readable(place, 1)


@probe("asyncio_loop_pass|{0} readable", arguments=[(100,)], samples=40)
def pass_with_readables(place: Place, n: int) -> Series:
    """The same with n sockets, each with a reader of its own."""
    return _readable(place, n)


def _readable(place: Place, n: int) -> Series:
    def occupy(loop: Loop, passes: _Passes) -> object:
        pairs = [socket.socketpair() for _ in range(n)]
        for i, (end, peer) in enumerate(pairs):
            peer.send(b"x")
            loop.add_reader(end, int if i else passes.count)
        return pairs

    return _measure(place, occupy)


# ---------------------------------------------------------------------- parts of a request


@probe("asyncio_StreamReader_feed+read|64B", samples=40)
def stream_feed_read(place: Place) -> Series:
    """64 B fed to a StreamReader, and a read that finds them there: no wait, no transport."""

    async def main() -> Series:
        reader = asyncio.StreamReader()
        data = bytes(64)

        async def rounds() -> None:
            for _ in range(_ROUNDS):
                reader.feed_data(data)
                await reader.read(64)

        return await _timed(place, rounds)

    return asyncio.run(main())


@probe("asyncio_StreamWriter_write|64B", samples=40)
def stream_write(place: Place) -> Series:
    """64 B written to a StreamWriter over a local socket, which sends them at once: the send is
    in it, see send_by_itself."""

    async def main() -> Series:
        end, peer = socket.socketpair()
        _reader, writer = await asyncio.open_connection(sock=end)
        return _drained(place, peer, writer.write)

    return asyncio.run(main())


@probe("socketpair_send_by_itself|64B", samples=40)
def send_by_itself(place: Place) -> Series:
    """64 B by a local socket's own send; what has arrived is taken between samples."""
    end, peer = socket.socketpair()
    return _drained(place, peer, end.send)


def _drained(place: Place, peer: socket.socket, send: Callable[[bytes], object]) -> Series:
    """Some sends of 64 B to a sample; what has arrived is taken between them, and not timed."""
    data = bytes(64)
    samples = []
    for _ in range(place.samples + 1):
        begun_ns = perf_counter_ns()
        for _ in range(_ROUNDS):
            send(data)
        samples.append((perf_counter_ns() - begun_ns) / _ROUNDS)
        received = 0
        while received < _ROUNDS * len(data):
            received += len(peer.recv(1 << 16))
    return [samples[1:]]


async def _timed(place: Place, rounds: Callable[[], Coroutine[Any, Any, None]]) -> Series:
    """The mean of each of the many rounds that `rounds` goes."""
    samples = []
    for _ in range(place.samples + 1):
        begun_ns = perf_counter_ns()
        await rounds()
        samples.append((perf_counter_ns() - begun_ns) / _ROUNDS)
    return [samples[1:]]


@probe("asyncio_task_start+end", samples=40)
def task_start_end(place: Place) -> Series:
    """A task that is created, runs once and ends, with many others in one pass; nobody awaits
    it."""

    async def nothing() -> None:
        pass

    async def main() -> Series:
        loop = asyncio.get_running_loop()

        async def rounds() -> None:
            _kept = [loop.create_task(nothing()) for _ in range(_ROUNDS)]
            await asyncio.sleep(0)

        return await _timed(place, rounds)

    return asyncio.run(main())


@probe("asyncio_create_task+await", samples=20)
def task_created_and_awaited(place: Place) -> Series:
    """A task that is created and awaited, one after the other: two passes of the loop."""

    async def nothing() -> None:
        pass

    async def rounds() -> None:
        for _ in range(_ROUNDS):
            await asyncio.create_task(nothing())

    return asyncio.run(_timed(place, rounds))


@probe("asyncio_run_in_executor_roundtrip|same_core", samples=300)
def executor_round_trip(place: Place) -> Series:
    """A job for a pool of one thread and back to the loop, which sleeps meanwhile, on one core."""

    async def main() -> Series:
        loop = asyncio.get_running_loop()
        samples = []
        with ThreadPoolExecutor(1) as pool:
            for _ in range(place.samples + 1):
                begun_ns = perf_counter_ns()
                await loop.run_in_executor(pool, int)
                samples.append(float(perf_counter_ns() - begun_ns))
        return [samples[1:]]

    return asyncio.run(main())


@probe("asyncio_streams|{0} echoed", arguments=[(16,)], samples=40)
def streams_echo(place: Place, n: int) -> Series:
    """n messages by TCP that n tasks read from their streams and write back, all there when it
    begins: the pass that reads them, the one in which the tasks write, and the one after, for
    which whoever takes the time has waited by sleep(0)."""
    return echoes(place, n)


def echoes(place: Place, n: int, new_loop: NewLoop = None) -> Series:
    """n messages by TCP, read by n tasks from their streams and written back."""
    pairs = [connected() for _ in range(n)]
    message = bytes(_MESSAGE_BYTES)
    echoed = 0

    async def echo(end: socket.socket) -> None:
        nonlocal echoed
        reader, writer = await asyncio.open_connection(sock=end)
        while True:
            writer.write(await reader.readexactly(_MESSAGE_BYTES))
            await writer.drain()
            echoed += 1

    async def main() -> Series:
        nonlocal echoed
        _kept = [asyncio.create_task(echo(end)) for end, _ in pairs]
        await asyncio.sleep(0.01)
        samples = []
        for _ in range(place.samples + 1):
            for _, peer in pairs:
                peer.send(message)
            echoed = 0
            begun_ns = perf_counter_ns()
            while echoed < n:
                await asyncio.sleep(0)
            samples.append(float(perf_counter_ns() - begun_ns))
            for _, peer in pairs:
                peer.recv(_MESSAGE_BYTES)
        return [samples[1:]]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main())
