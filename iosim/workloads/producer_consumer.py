"""The producer-consumer pipeline: items made, handed over, used.

What it models: producers and consumers inside one program, with a bounded buffer
between them. No connections, no network: what is compared is how control passes from
producer to consumer (I/O models that serve `items`).

An item counts as a request: offered when made, completed when used; its response time
is from the one to the other.

Not modelled: priorities, several stages.
Source: Dijkstra, "Cooperating Sequential Processes", 1965.
Validated by: tests/timeline/test_pipeline.py
"""

from typing import Annotated

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.distributions import Distribution
from iosim.units import Most, PositiveCount

TRAFFIC = "items"


class Options(BaseOptions):
    """Items made by producers and used by consumers, with a bounded buffer between."""

    produce: Distribution = Field(description="CPU time to make an item.")
    consume: Distribution = Field(description="CPU time to use one.")
    capacity: PositiveCount = Field(default=10, description="Items that the buffer holds.")
    producers: Annotated[PositiveCount, Most(100_000)] = Field(
        default=1, description="How many flows of control make items."
    )
    consumers: Annotated[PositiveCount, Most(100_000)] = Field(
        default=1, description="How many use them."
    )
