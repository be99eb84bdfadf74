"""A socket's send buffer: what its peer has not taken yet.

What it models: bytes leave in order at a constant rate, the peer's. sendto(2) takes what
there is room for; a socket that was found full is writable again (EPOLLOUT) when a third
of its buffer is free, and the thread asleep in sendto, or whatever watches the socket, is
told then. A message is with its peer when its last byte has left.

    room:     |########----|   sendto takes 4 of 10 bytes, and is to come again
    a third:  |########----|   writable

Not modelled: the buffer's own growth (autotuning), Nagle, segments, the window in bytes.
Source: send(2), tcp(7); Linux 6.18 include/net/sock.h (sk_stream_is_writeable).
Validated by: tests/timeline/test_sending.py, tests/unit/test_send_buffer_room.py
"""

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from iosim.machine.thread import WaitQueue

if TYPE_CHECKING:
    from iosim.machine.machine import Machine
    from iosim.machine.sockets import Peer, Socket

NS_PER_S: Final = 1_000_000_000

ENDLESS: Final = 2**63 - 1
"""Room for whatever is sent to a peer that has hung up (EPIPE, which nobody looks at)."""


class SendBuffer:
    """Bytes on their way out of one socket."""

    __slots__ = (
        "_armed",
        "_bytes_per_s",
        "_discards",
        "_empty",
        "_machine",
        "_peer",
        "_size_bytes",
        "_socket",
        "_unfinished",
        "wait_queue",
    )

    def __init__(
        self,
        machine: "Machine",
        socket: "Socket",
        peer: "Peer",
        size_bytes: int,
        bytes_per_s: int,
    ) -> None:
        self._machine = machine
        self._peer = peer
        self._socket = socket
        self._size_bytes = size_bytes
        self._bytes_per_s = bytes_per_s
        # When all that is in it will have left, in ns times bytes a second: exact.
        self._empty = 0
        # The peer has hung up: what is sent goes nowhere.
        self._discards = False
        # Whether a look at whether the socket is writable again is due.
        self._armed = False
        # The messages that did not fit as a whole, while their senders wait for room.
        self._unfinished: list[Any] = []
        self.wait_queue = WaitQueue(f"send buffer of {socket.name}")

    def _queued_bytes(self, ahead_ns: int = 0) -> int:
        left = self._empty - (self._machine.env._now + ahead_ns) * self._bytes_per_s
        return max(0, -(-left // NS_PER_S))

    @property
    def room_bytes(self) -> int:
        """How much sendto would take now."""
        if self._discards:
            return ENDLESS  # it is kept nowhere
        return self._size_bytes - self._queued_bytes()

    def writable(self, ahead_ns: int = 0) -> bool:
        """Whether poll(2) and epoll(7) call the socket writable, in `ahead_ns` from now."""
        return 3 * self._queued_bytes(ahead_ns) <= 2 * self._size_bytes

    def put(self, message: Any, size_bytes: int, last: bool) -> None:
        """Take bytes of `message`; there must be room. `last`: its last ones."""
        now = self._machine.env._now
        if self._discards:
            return
        self._empty = max(self._empty, now * self._bytes_per_s) + size_bytes * NS_PER_S
        if last:
            self._machine.timers.at(
                -(-self._empty // self._bytes_per_s), partial(self._left, message)
            )

    def _left(self, message: Any) -> None:
        if not self._discards:
            now = self._machine.env._now
            message.has_room(now)
            self._peer.receive(self._socket, message, now)

    def wait_for_room(self, message: Any) -> None:
        """Tell sleepers and watchers when the socket is writable again."""
        self._unfinished.append(message)
        if not self._armed:
            self._arm()

    def take_up(self, message: Any) -> None:
        """The sender of `message` tries again, told or not: its message waits no longer."""
        if message in self._unfinished:
            self._unfinished.remove(message)

    def _arm(self) -> None:
        # Of whole bytes: at that instant it is writable, and not a byte short of it.
        left = self._empty - 2 * self._size_bytes // 3 * NS_PER_S
        due_ns = max(self._machine.env._now, -(-left // self._bytes_per_s))
        self._machine.timers.at(due_ns, self._look)
        self._armed = True

    def _look(self) -> None:
        self._armed = False
        if not self.writable():
            self._arm()  # somebody has tried again meanwhile, and filled it
        elif self._unfinished:
            self._tell()

    def _tell(self) -> None:
        messages, self._unfinished = self._unfinished, []
        for message in messages:
            message.has_room(self._machine.env._now)
        # All of them: the room may do for several.
        for _ in tuple(self.wait_queue.sleepers):
            self._machine.wake_one(self.wait_queue)
        for watcher in tuple(self._socket.watchers):
            watcher.on_writable(self._socket)

    def discard(self) -> None:
        """The peer has hung up: nothing more leaves, and nobody waits any longer."""
        self._discards = True
        self._armed = False
        self._empty = 0
        self._tell()
