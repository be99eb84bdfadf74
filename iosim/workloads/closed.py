"""A closed workload: users who wait for their answer, think, and ask again.

What it models: `users` users, each on a connection of its own, one request at a time.
A user's next request is meant to be sent one think time after the last one ended. Users
start one think time after the server is ready. Each user has a random stream of its own,
so that two I/O models are asked by the same users.

Not modelled: users that leave.
Source: Schroeder, Wierman, Harchol-Balter, "Open Versus Closed", NSDI 2006.
Validated by: tests/theory/test_networks.py
"""

from collections.abc import Iterator
from itertools import chain, count
from math import ceil
from typing import TYPE_CHECKING

from pydantic import Field

from iosim.distributions import Distribution
from iosim.units import PositiveCount
from iosim.workload import Requests

if TYPE_CHECKING:
    from iosim.clients import Clients
    from iosim.machine.request import Request
    from iosim.streams import Streams

TRAFFIC = "requests"
LOAD = "users"


class Options(Requests):
    """Users wait for their answer, think, and ask again."""

    users: PositiveCount = Field(
        description="How many there are; each has a connection of its own among the active ones.",
    )
    think: Distribution = Field(description="From an answer to the next request.")

    @property
    def load(self) -> float:
        """How many users there are."""
        return float(self.users)

    def at_load(self, load: float) -> "Options":
        """The same with so many users, rounded; one at least, and a connection for each."""
        users = max(1, round(load))
        total = max(self.connections.total, ceil(users / self.connections.active))
        connections = self.connections.model_copy(update={"total": total})
        return self.model_copy(update={"users": users, "connections": connections})


def think_times(options: Options, streams: "Streams", user: int) -> Iterator[int]:
    """Endless think times of one user, in ns, whatever the others do."""
    sample = options.think.options.sample
    return chain.from_iterable(
        streams.user_block("think", user, block, sample) for block in count()
    )


class Source:
    """Offers each user's next request."""

    def __init__(self, options: Options, clients: "Clients", streams: "Streams") -> None:
        self._clients = clients
        clients.on_ended = self._on_ended
        self._think = [think_times(options, streams, user) for user in range(options.users)]

    def start(self) -> None:
        """The server is ready: all users begin to think."""
        now: int = self._clients.machine.env._now
        for user in range(len(self._think)):
            self._ask(user, now + next(self._think[user]))

    def _ask(self, user: int, intended_ns: int) -> None:
        clients = self._clients
        clients.offer_later(intended_ns, clients.clients[user])

    def _on_ended(self, request: "Request", at_ns: int) -> None:
        user = request.client.number
        self._ask(user, at_ns + next(self._think[user]))
