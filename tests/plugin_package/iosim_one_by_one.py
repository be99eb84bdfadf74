"""One by one: a third party's I/O model, found through its entry point.

The server takes a connection, serves the one request that comes on it, and turns to the next:
nothing else happens while it waits. It needs nothing of iosim but the kernel and the handler.

Not modelled: anything clever.
"""

from collections.abc import Generator
from typing import Any

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import Server, serve
from iosim.machine.kernel import Kernel


class Options(BaseOptions):
    """Connections in turn, a request of each."""

    rounds: int = Field(default=1, ge=1, description="Requests served before the next connection.")


def main(kernel: Kernel, server: Server, options: Options) -> Generator[Any, Any, None]:
    """Take all connections; then serve them in turn."""
    connections = []
    for _ in range(server.connections):
        connections.append((yield from kernel.accept4(server.listener)))
    while True:
        for connection in connections:
            for _ in range(options.rounds):
                request = yield from kernel.recvfrom(connection)
                yield from serve(kernel, server, request)
                yield from kernel.sendto(connection, request, request.reply_bytes)
