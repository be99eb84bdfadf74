"""An I/O model's whole program on the bench: requests come when they are told to."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from bench import Bench, Outside

from iosim.handler import OwnWork, Server
from iosim.machine.request import Request
from iosim.machine.sockets import Socket


def served(
    bench: Bench, model: Any, options: dict[str, Any], arrivals: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """(when, request) of each answer; request n arrives as arrivals[n] says: (when, connection).

    A request is an echo, without a handler; the run ends a millisecond after the last arrival.
    """
    answers: list[tuple[int, int]] = []

    class Client(Outside):
        def receive(self, socket: Socket, message: Any, at_ns: int) -> None:
            answers.append((at_ns, message.number))

    count = 1 + max(connection for _, connection in arrivals)
    connections = [Socket(f"connection {n}", Client(bench)) for n in range(count)]
    listener = bench.socket("listener", *connections)
    server = Server(listener, OwnWork(0), count)
    chosen = model.Options.model_validate(options)
    bench.spawn("main", lambda kernel: model.main(kernel, server, chosen))

    def arrive(number: int, at_ns: int, connection: Socket) -> None:
        request = Request(number, at_ns, (), 0, 0)
        request.connection = connection
        request.delivered(at_ns)
        bench.machine.arrive(connection, request)

    for number, (at_ns, connection) in enumerate(arrivals):
        bench.at(at_ns, partial(arrive, number, at_ns, connections[connection]))
    bench.run(max(at_ns for at_ns, _ in arrivals) + 1_000_000)
    return answers
