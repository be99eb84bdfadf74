"""uvloop: asyncio's tasks and streams on libuv's event loop.

The program is `asyncio`'s, on another loop. The tasks' turns are counted by a wrapper, as there.
How often the loop waits, and for how many events, only libuv knows, which uvloop does not tell: the
waits are left to who counts syscalls from outside, and events per wait are not known. To learn a
connection's descriptor costs a getsockname(2) that the simulated program does not make.

Twin of: iosim/io_models/uvloop.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

import asyncio
import select
from dataclasses import dataclass

from iosim.real.handler import Server
from iosim.real.kernel import Kernel, Query, Refused, Request, Socket
from iosim.real.process import give_up
from iosim.real.servers import asyncio as on_any_loop


@dataclass(frozen=True)
class Options:
    """uvloop: asyncio's tasks and streams on libuv's event loop."""


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """Serve on the event loop, by the program that `asyncio` runs."""
    try:
        from uvloop import new_event_loop
    except ModuleNotFoundError:
        raise Refused("needs the package uvloop") from None
    loop = new_event_loop()
    loop.set_exception_handler(lambda _, what: give_up(f"uvloop: {what}"))
    own_work = server.own_work

    def work() -> None:
        """Do a chunk of the server's own work, and be called again."""
        own_work.do_chunk(kernel)
        loop.call_soon(work)

    if own_work.wanted:
        loop.call_soon(work)
    loop.run_until_complete(on_any_loop.serve_streams(kernel, server, Stream))


class Stream(on_any_loop.Stream):
    """A StreamReader and StreamWriter over libuv's stream."""

    @staticmethod
    def accepted(kernel: Kernel, writer: asyncio.StreamWriter) -> Socket:
        """The connection of a client."""
        return Connection(writer.get_extra_info("socket"), kernel.machine.plan.request_bytes)

    async def write(self, message: Request | Query) -> None:
        """Send at once, as the transport does while nothing is unsent; drain the rest."""
        if self._writer.is_closing():  # it has failed: a closed one refuses to write
            raise ConnectionResetError
        await super().write(message)


class Connection(Socket):
    """A socket that is libuv's: nobody else receives from it."""

    __slots__ = ()

    def hung_up(self) -> bool:
        """Whether the peer has closed it. A syscall more than the simulated program makes."""
        looked_at = select.poll()
        looked_at.register(self.fd, select.POLLRDHUP)
        return bool(looked_at.poll(0))
