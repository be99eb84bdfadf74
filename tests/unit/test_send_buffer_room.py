"""iosim.machine.sending: whoever is told of room finds some, at that very moment."""

from types import SimpleNamespace
from typing import Any

import pytest

from iosim.machine.sending import SendBuffer


class Timers:
    """What is due, and when."""

    def __init__(self) -> None:
        self.due: list[tuple[int, Any]] = []

    def at(self, at_ns: int, call: Any) -> None:
        self.due.append((at_ns, call))


@pytest.mark.parametrize("size_bytes", [1, 2, 100, 65_536, 65_537, 65_538, 4 << 20])
@pytest.mark.parametrize("bytes_per_s", [1, 7, 1_000_000, 9_999_999, 10_000_000, 3_000_000_019])
@pytest.mark.parametrize("now_ns", [0, 12_345_677])
def test_writable_when_told(size_bytes: int, bytes_per_s: int, now_ns: int) -> None:
    timers, found = Timers(), []
    env = SimpleNamespace(_now=now_ns)
    machine: Any = SimpleNamespace(env=env, timers=timers, wake_one=lambda queue: None)
    watcher = SimpleNamespace(on_writable=lambda socket: found.append(buffer.writable()))
    socket: Any = SimpleNamespace(name="", watchers=[watcher])
    message: Any = SimpleNamespace(has_room=lambda now: None)
    peer: Any = SimpleNamespace()
    buffer = SendBuffer(machine, socket, peer, size_bytes, bytes_per_s)
    buffer.put(message, size_bytes, last=False)
    buffer.wait_for_room(message)
    ((env._now, tell),) = timers.due
    tell()
    assert found == [True]
