"""What workloads of requests have in common: connections, sizes, patience.

Validated by: tests/unit/test_scenario.py
"""

from math import ceil
from typing import Literal

from pydantic import Field

from iosim.choice import Options
from iosim.units import (
    Bandwidth,
    Duration,
    Fraction,
    PositiveCount,
    PositiveDuration,
    PositiveSize,
)


class SlowSenders(Options):
    """Clients that send a few bytes at a time."""

    share: Fraction = Field(
        default="10%", validate_default=True, description="Their part of the active connections."
    )
    piece: PositiveSize = Field(
        default="16B", validate_default=True, description="What they send at once."
    )
    gap: PositiveDuration = Field(
        default="10ms", validate_default=True, description="From one piece to the next."
    )


class Retry(Options):
    """Asking again what has timed out."""

    attempts: PositiveCount = Field(default=1, description="How often, after the first time.")
    backoff: Duration = Field(
        default="0s", validate_default=True, description="From the timeout to the next attempt."
    )


class Connections(Options):
    """The clients' connections."""

    total: PositiveCount = Field(default=100, description="How many there are.")
    active: Fraction = Field(
        default="100%",
        validate_default=True,
        description="The part of them on which requests are sent; the others are silent.",
    )

    lifetime: PositiveCount | None = Field(
        default=None,
        description="Requests after which a client closes its connection, and opens another; "
        "none: they stay open.",
    )
    pipeline: PositiveCount = Field(
        default=1,
        description="Requests that may be under way at once on a connection; "
        "answers come in any order.",
    )
    slow: SlowSenders | None = Field(
        default=None, description="Clients that send their requests in small pieces; none: nobody."
    )
    receive_rate: Bandwidth | None = Field(
        default=None,
        description="How fast a client takes in an answer, from the server's send buffer; "
        "none: at once.",
    )

    @property
    def active_count(self) -> int:
        """How many carry requests; at least one."""
        return max(1, ceil(self.total * self.active))

    @property
    def slow_count(self) -> int:
        """How many of them send slowly."""
        return ceil(self.active_count * self.slow.share) if self.slow else 0


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
    on_timeout: Literal["wait", "close"] = Field(
        default="wait",
        description="`close`: who gives up closes the connection, and opens another; `wait`: it "
        "stays occupied until the late answer comes.",
    )
    retry: Retry | None = Field(
        default=None, description="Ask again what has timed out; none: give it up."
    )
    backlog: PositiveCount | None = Field(
        default=None,
        description="Requests that may wait at the clients for their connection; more are refused.",
    )

    @property
    def largest_request(self) -> int:
        """Bytes that no request exceeds."""
        return self.request
