"""What workloads of requests have in common: connections, sizes, patience.

Validated by: tests/unit/test_scenario.py
"""

from math import ceil

from pydantic import Field

from iosim.choice import Options
from iosim.units import Fraction, PositiveCount, PositiveDuration, PositiveSize


class Connections(Options):
    """The clients' connections, all open during the whole run."""

    total: PositiveCount = Field(default=100, description="How many there are.")
    active: Fraction = Field(
        default="100%",
        validate_default=True,
        description="The part of them on which requests are sent; the others are silent.",
    )

    @property
    def active_count(self) -> int:
        """How many carry requests; at least one."""
        return max(1, ceil(self.total * self.active))


class Requests(Options):
    """Options of every workload that sends requests."""

    connections: Connections = Field(
        default_factory=Connections,
        description="The clients' connections.",
    )
    request: PositiveSize = Field(
        default="128B",
        validate_default=True,
        description="Size of a request.",
    )
    reply: PositiveSize = Field(
        default="1KiB",
        validate_default=True,
        description="Size of an answer.",
    )
    timeout: PositiveDuration | None = Field(
        default=None,
        description="From the intended send time until the client gives up; none: never.",
    )
    backlog: PositiveCount | None = Field(
        default=None,
        description="Requests that may wait at the clients for their connection; more are refused.",
    )
