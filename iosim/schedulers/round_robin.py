"""Round robin: each thread runs for at most a time slice, then goes to the back.

What it models: SCHED_RR among threads of one priority. A thread that wakes goes to the
back of the queue with a fresh slice and preempts nobody.
Not modelled: priorities; a slice that is resumed where preemption cut it.
Source: sched(7).
Validated by: tests/theory/test_scheduling.py, tests/conformance
"""

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.machine.thread import Thread
from iosim.schedulers import fifo
from iosim.units import PositiveDuration


class Options(BaseOptions):
    """Round robin with a fixed time slice."""

    slice: PositiveDuration = Field(
        default="10ms",
        validate_default=True,
        description="How long a thread may run while others wait.",
    )


class Queue(fifo.Queue):
    """A run queue in order of arrival, with a time slice."""

    __slots__ = ("_left_ns", "_slice_ns")

    def __init__(self, options: Options) -> None:
        super().__init__(fifo.Options())
        self._slice_ns = options.slice
        self._left_ns = options.slice

    def pick(self) -> Thread | None:
        self._left_ns = self._slice_ns
        return super().pick()

    def adopt(self, thread: Thread) -> None:
        self._left_ns = self._slice_ns

    def ran(self, thread: Thread, ns: int) -> None:
        # A thread alone starts a new slice as often as it uses one up.
        self._left_ns = (self._left_ns - ns - 1) % self._slice_ns + 1

    def slice_end_ns(self, thread: Thread, now: int) -> int:
        return now + self._left_ns
