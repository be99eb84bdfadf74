"""A world in which requests are sent when a test says so, and what is left in it afterwards."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from grounds import Seen

from iosim.handler import Server
from iosim.machine.costs import Costs
from iosim.scenario import Scenario
from iosim.streams import Streams
from iosim.world import World, build


class Driven:
    """A scenario's first model, built; its load is what `send` says."""

    def __init__(self, scenario: Scenario, costs: Costs, seen: Seen | None = None) -> None:
        self.servers: list[Server] = []
        with self._kept():
            self.world: World = build(
                scenario, scenario.models[0], costs, Streams(1, 0), trace=seen
            )
            self.env, self.machine = self.world.env, self.world.machine
            self.clients: Any = self.world.connect.__self__  # type: ignore[attr-defined]
            self.start_ns = -1
            self.world.connect(self._on_ready)
            while self.start_ns < 0:
                self.env.step()
        self.world.recording.boundary()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep the servers that a program is given or makes of that."""
        servers, init = self.servers, Server.__init__

        def kept(server: Server, *args: Any, **kwargs: Any) -> None:
            init(server, *args, **kwargs)
            servers.append(server)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Server, "__init__", kept)
            yield

    def _on_ready(self) -> None:
        self.start_ns = self.env._now

    def send(self, *when: tuple[int, int]) -> None:
        """Have requests sent: (ns from the start, by which client)."""
        for at_ns, client in when:
            self.clients.offer_later(self.start_ns + at_ns, self.clients.clients[client])

    def run(self, until_ns: int) -> None:
        """Let time pass until `until_ns` from the start."""
        self.env.run(until=self.start_ns + until_ns)

    def finish(self, at_most_ns: int) -> None:
        """Let time pass until no request is under way, and somewhat longer."""
        until_ns = 0
        while until_ns < at_most_ns:
            until_ns += 5_000_000
            self.run(until_ns)
            if not self.world.fates()["in_flight"]:
                break
        self.run(until_ns + 5_000_000)

    def hang_up(self) -> None:
        """All clients close their connections now."""
        for client in self.clients.clients:
            if client.socket is not None:
                client.hang_up(self.env._now)

    def device_sockets(self) -> int:
        """Connections to devices that no call is using."""
        idle = {id(server.idle_sockets): server.idle_sockets for server in self.servers}
        return sum(len(sockets) for own in idle.values() for sockets in own.values())

    def fates(self) -> dict[str, int]:
        """What became of the requests so far; they add up."""
        fates = self.world.fates()
        ended = (fates[name] for name in ("completed", "refused", "timed_out", "in_flight"))
        assert fates["offered"] == sum(ended)
        assert fates["in_flight"] >= 0
        return fates


def at_intervals(count: int, interval_ns: int, clients: int) -> Iterable[tuple[int, int]]:
    """So many requests, one after the other, by each client in turn."""
    return [(number * interval_ns, number % clients) for number in range(count)]
