"""Probes of sockets, on loopback and of one machine; in one thread, so that nobody is woken.

Validated by: tests/calibration/test_probes.py
"""

import socket
from types import SimpleNamespace
from typing import Any

from iosim.calibration.probes.registry import Place, Series, native, probe
from iosim.calibration.probes.timing import in_turns, timed
from iosim.real.handler import Jobs
from iosim.real.kernel import Kernel, Socket
from iosim.real.servers import nonblocking

native(
    __name__, "tcp_loopback", "tcp_lo_send|{0}B", "tcp_lo_recv|{0}B",
    samples=1500, arguments=[(64,), (4096,), (65536,)],
)  # fmt: skip
native(__name__, "tcp_loopback_batch", "tcp_lo_send+recv|{0}B", arguments=[(64,), (4096,)])
native(__name__, "socketpair_batch", "socketpair_write+read|{0}B", arguments=[(64,), (4096,)])
native(__name__, "recv_eagain", "recv_EAGAIN|tcp")
native(__name__, "connections", "connect|tcp_lo", "accept4|queued", "close|tcp_lo", samples=400)

_SEND_AND_RECEIVE = "sender.send(data); receiver.recv(size)"


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection on loopback, without Nagle's delay."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


@probe("tcp_lo_send+recv|{0}B", arguments=[(64,), (4096,)])
def tcp_send_recv(place: Place, size: int) -> Series:
    """Sending by TCP on loopback and receiving, the interpreter lock given away for each."""
    sender, receiver = connected()
    return timed(
        place, 50, _SEND_AND_RECEIVE,
        sender=sender, receiver=receiver, data=bytes(size), size=size,
    )  # fmt: skip


@probe("socketpair_send+recv|{0}B", arguments=[(64,), (4096,)])
def socketpair_send_recv(place: Place, size: int) -> Series:
    """The same by a pair of local sockets: no protocol, and no softirq."""
    sender, receiver = socket.socketpair()
    return timed(
        place, 100, _SEND_AND_RECEIVE,
        sender=sender, receiver=receiver, data=bytes(size), size=size,
    )  # fmt: skip


@probe("recv_small_buffer|{0}B", "recv_large_buffer|{0}B", arguments=[(144,)])
def recv_buffers(place: Place, size: int) -> Series:
    """Sending and receiving with a buffer of 64 KiB, and of the 256 KiB that asyncio's transports
    ask for: malloc has that mapped, cut to what has come and unmapped for each call."""
    sender, receiver = connected()
    statements = [f"sender.send(data); receiver.recv({buffer})" for buffer in (65_536, 262_144)]
    return in_turns(place, 50, *statements, sender=sender, receiver=receiver, data=bytes(size))


@probe("recv_EAGAIN_exception|tcp")
def recv_eagain(place: Place) -> Series:
    """Receiving where nothing has arrived: the syscall, and an exception that is caught."""
    end, _other = connected()
    end.setblocking(False)
    statement = "try: recv(64)\nexcept BlockingIOError: pass"
    return timed(place, 200, statement, recv=end.recv, _other=_other)


@probe("recv_EAGAIN_round|n={0}", arguments=[(16,)])
def recv_eagain_round(place: Place, n: int) -> Series:
    """The real server's next ask, of n connections in turn, which all have nothing to say."""
    ring = nonblocking.Ring()
    ends = [connected() for _ in range(n)]
    for end, _ in ends:
        asked = Socket(end, 64)
        asked.nonblocking = True
        ring.add(asked)
    machine = SimpleNamespace(
        table=(), plan=SimpleNamespace(columns=1, request_bytes=64), running=[]
    )
    jobs: Any = Jobs(Kernel(machine), None, None, None)  # type: ignore[arg-type]

    def ask() -> None:
        asked = ring.ask_next()
        if asked is not None:  # None once a round
            jobs.on_readable(asked)

    (series,) = timed(place, 10 * (n + 1), "ask()", ask=ask, ends=ends)
    return [[sample * (n + 1) / n for sample in series]]
