"""SO_REUSEPORT: several listening sockets on one port, each with a queue of its own.

What it models: a new connection goes to one of the port's listeners by a hash of its
addresses and ports, whatever the threads behind them are doing. So nobody is woken in
vain; connections are spread as balls thrown at random are; and what has gone to a busy
thread's listener waits there while others idle.

Scope: listeners that are opened together, before the load.
Not modelled: choosing by a BPF program or by the receiving core; opening and closing
listeners under load.
Source: socket(7); Linux 6.18 net/core/sock_reuseport.c (reuseport_select_sock).
Validated by: tests/timeline/test_shared_readiness.py
"""

from collections.abc import Generator, Iterator
from typing import Any

from iosim.machine.calls import Calls
from iosim.machine.sockets import Socket
from iosim.machine.thread import ENTRY, RUN


class ReusePort:
    """The listeners of one port; `port` is where the clients' connections arrive."""

    def __init__(
        self, machine: Any, port: Socket, listeners: list[Socket], hashes: Iterator[int]
    ) -> None:
        self.listeners = listeners
        self._machine = machine
        self._hashes = hashes
        port.watchers.append(self)

    def on_readable(self, port: Socket) -> None:
        """A connection has arrived: queue it at the listener that its hash says."""
        chosen = self.listeners[next(self._hashes) * len(self.listeners) >> 32]
        self._machine.arrive(chosen, port.received.pop(0))

    def on_writable(self, port: Socket) -> None:
        """Never: a listener is not written to."""

    def on_closed(self, port: Socket) -> None:
        port.watchers.remove(self)


class ListenCalls(Calls):
    """socket, setsockopt, bind and listen."""

    __slots__ = ()

    def listen_reuseport(self, port: Socket, count: int) -> Generator[Any, Any, list[Socket]]:
        """Open so many listeners with SO_REUSEPORT, which share the connections to `port`."""
        thread, machine = self.thread, self.machine
        listeners = [Socket(f"listener {number}", None, port.backlog) for number in range(count)]
        for listener in listeners:
            for name in ("socket", "setsockopt", "bind", "listen"):
                self.syscalls[name] += 1
                thread.charge(ENTRY, self.costs.syscall_ns, name)
            machine.open_descriptor(listener)
        if thread.debt_ns:
            yield RUN
        group = ReusePort(machine, port, listeners, machine.flow_hashes)
        for _ in range(len(port.received)):  # what has come before
            group.on_readable(port)
        return listeners
