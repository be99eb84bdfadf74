"""asyncio: coroutines as tasks on CPython's own event loop.

The simulated program spells out what this loop does; here it is the library's. Its waits and
events are counted by its selector, the tasks' turns by a wrapper (0.1 us each).

Twin of: iosim/io_models/asyncio.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

from iosim.real.handler import Server, call
from iosim.real.kernel import EOF, NS_PER_S, PARTIAL, Counters, Kernel, Query, Request, Socket
from iosim.real.plan import CPU, NO_SUCH_STEP
from iosim.real.process import give_up


@dataclass(frozen=True)
class Options:
    """asyncio: tasks on CPython's event loop, by streams or by the loop's socket calls."""

    api: str = "streams"


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """Serve on the event loop."""
    loop = asyncio.SelectorEventLoop(Selector(kernel, server))
    loop.set_exception_handler(lambda _, what: give_up(f"asyncio: {what}"))
    if options.api == "streams":
        loop.run_until_complete(serve_streams(kernel, server, Stream))
    else:
        loop.run_until_complete(serve_sockets(kernel, server))


# ------------------------------------------------------- what the programmer writes


async def serve_streams(kernel: Kernel, server: Server, kind: "type[Stream]") -> None:
    """Have the running loop accept, and make a stream of this `kind` of each connection."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = kind(kernel, kind.accepted(kernel, writer), reader, writer)
        await Counted(kernel.counters, converse(kernel, server, stream, kind.connect))

    backlog = kernel.machine.plan.backlog
    listener = server.listener.socket
    acceptor = await asyncio.start_server(on_connection, sock=listener, backlog=backlog)
    await acceptor.serve_forever()


async def serve_sockets(kernel: Kernel, server: Server) -> None:
    """Have a task accept, with the loop's socket calls."""
    loop = asyncio.get_running_loop()
    server.listener.nonblocking = True
    tasks = set()  # the loop itself keeps but weak references
    while True:
        connection, _ = await loop.sock_accept(server.listener.socket)
        stream = SocketCalls(kernel, kernel.connection(connection))
        program = converse(kernel, server, stream, SocketCalls.connect)
        task = loop.create_task(count_turns(kernel.counters, program))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def converse(
    kernel: Kernel, server: Server, stream: "Stream | SocketCalls", connect: Callable[..., Any]
) -> None:
    """Serve one connection to its end."""
    try:
        while (request := await stream.read()) is not EOF:
            await handle(kernel, server, request, connect)
            await stream.write(request)
            kernel.counters.answered += 1
    except ConnectionError:
        pass
    stream.close()


async def handle(
    kernel: Kernel, server: Server, request: Request, connect: Callable[..., Any]
) -> None:
    """Go through all steps of `request`; other tasks run while one awaits."""
    for kind, device, columns in server.steps:
        if request.amounts[columns.start] == NO_SUCH_STEP:
            continue
        if server.cancel and server.gave_up(request):
            return
        if kind is CPU:
            kernel.compute(request.amounts[columns.start])
        elif device is None:
            await asyncio.sleep(request.amounts[columns.start] / NS_PER_S)
        elif device.interface == "blocking":
            call(kernel, server, device, Query(request, device.number, request.amounts[columns]))
        else:
            socket, is_new = server.connection_to(kernel, device)
            if is_new:
                socket.socket.setblocking(False)
                socket.user_data = await connect(kernel, socket)
            stream = socket.user_data
            query = Query(request, device.number, request.amounts[columns])
            while True:
                await stream.write(query)
                await stream.read()
                if not query.try_again():
                    break
            server.release(device, socket)
        if request.failed:
            break


# ------------------------------------------------------- messages over it


class Stream:
    """A StreamReader and StreamWriter: the loop reads, the task takes from the buffer."""

    def __init__(
        self,
        kernel: Kernel,
        socket: Socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._kernel = kernel
        self._socket = socket
        self._reader = reader
        self._writer = writer
        # `drain` returns when all has been sent.
        writer.transport.set_write_buffer_limits(0)

    @staticmethod
    def accepted(kernel: Kernel, writer: asyncio.StreamWriter) -> Socket:
        """The connection of a client."""
        # What the transport shows of its socket cannot receive, and so not tell a hang-up.
        return kernel.connection(writer.get_extra_info("socket")._sock)

    @classmethod
    async def connect(cls, kernel: Kernel, socket: Socket) -> "Stream":
        """The stream of a connection to a device."""
        return cls(kernel, socket, *await asyncio.open_connection(sock=socket.socket))

    async def read(self) -> Any:
        """The next message; other tasks run until all of it is in the buffer."""
        socket = self._socket
        while True:
            data = await self._reader.read(socket.wanted - len(socket.have))
            message = self._kernel.received(socket, data)
            if message is not PARTIAL:
                return message

    async def write(self, message: Request | Query) -> None:
        """Send at once, as the transport does while its own buffer is empty; drain the rest."""
        self._writer.write(self._kernel.packed(self._socket, message))
        await self._writer.drain()

    def close(self) -> None:
        """Close the transport: its callback closes the connection in the next pass."""
        self._writer.close()


class SocketCalls:
    """loop.sock_recv and loop.sock_sendall: the task tries first, and waits if it must."""

    def __init__(self, kernel: Kernel, socket: Socket) -> None:
        self._kernel = kernel
        self._socket = socket
        self._loop = asyncio.get_running_loop()

    @staticmethod
    async def connect(kernel: Kernel, socket: Socket) -> "SocketCalls":
        """The calls on a connection to a device."""
        return SocketCalls(kernel, socket)

    async def read(self) -> Any:
        """The next message; other tasks run until all of it is there."""
        socket = self._socket
        while True:
            size_bytes = socket.wanted - len(socket.have)
            data = await self._loop.sock_recv(socket.socket, size_bytes)
            message = self._kernel.received(socket, data)
            if message is not PARTIAL:
                return message

    async def write(self, message: Request | Query) -> None:
        """sock_sendall: send; other tasks run while there is no room for the rest."""
        data = self._kernel.packed(self._socket, message)
        await self._loop.sock_sendall(self._socket.socket, data)

    def close(self) -> None:
        """Close the connection."""
        self._kernel.close(self._socket)


# ------------------------------------------------------- what is counted


class Selector(selectors.EpollSelector):
    """The loop's selector; it does the server's own work when there is nothing else."""

    def __init__(self, kernel: Kernel, server: Server) -> None:
        super().__init__()
        self._kernel = kernel
        self._own_work = server.own_work

    def select(self, timeout: float | None = None) -> Any:
        own_work = self._own_work
        found = super().select(0 if own_work.wanted else timeout)
        counters = self._kernel.counters
        counters.waits += 1
        counters.wait_events += len(found)
        if own_work.wanted and not found and timeout != 0:  # 0: something else is to be run
            own_work.do_chunk(self._kernel)
        return found


class Counted:
    """A coroutine that counts its task's turns."""

    def __init__(self, counters: Counters, coroutine: Coroutine[Any, Any, None]) -> None:
        self._counters = counters
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, None]:
        go_on = turn = partial(self._coroutine.send, None)
        while True:
            self._counters.coroutine_switches += 1
            try:
                wanted = turn()
            except StopIteration:
                return
            turn = go_on
            try:
                yield wanted
            except BaseException as error:  # what it awaits has failed: it is told so
                turn = partial(self._coroutine.throw, error)


async def count_turns(counters: Counters, coroutine: Coroutine[Any, Any, None]) -> None:
    """Run `coroutine`, counted."""
    await Counted(counters, coroutine)
