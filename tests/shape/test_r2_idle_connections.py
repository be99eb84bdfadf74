"""R2: what idle connections cost.

Gammo, Brecht, Shukla and Pariag, "Comparing and Evaluating epoll, select, and poll Event
Mechanisms", Ottawa Linux Symposium 2004: without idle connections select and poll are
comparable to epoll; with 10,000 idle ones they lose up to 79% of their peak throughput,
epoll nearly nothing. The one-byte workload (table 2): at most a few percent of the CPU is
the handler's own.

Peak throughput is that of active users who never think. select is limited to 1,024
descriptors, so 900 idle ones are its most.
"""

from functools import cache

import pytest
from saturation import per_s, saturated

ACTIVE = 100
HANDLER = ({"cpu": "2us"},)
"""Besides what the reference's program does for each message."""


@cache
def peak_per_s(model: str, idle: int, active: int = ACTIVE) -> float:
    duration = "300ms" if idle < 5_000 else "500ms"
    return per_s(saturated(model, active, idle, list(HANDLER), duration))


def loss(model: str, idle: int) -> float:
    """The part of the peak throughput that idle connections take away."""
    return 1 - peak_per_s(model, idle) / peak_per_s(model, 0)


@pytest.mark.parametrize("model", ["select", "poll"])
def test_without_idle_connections_they_are_comparable(model: str) -> None:
    assert peak_per_s(model, 0) == pytest.approx(peak_per_s("epoll", 0), rel=0.15)


def test_ten_thousand_take_most_of_polls_throughput() -> None:
    assert 0.5 < loss("poll", 10_000) <= 0.9


def test_epoll_loses_nearly_nothing() -> None:
    assert abs(loss("epoll", 10_000)) < 0.03


def test_nine_hundred_hurt_select_as_they_hurt_poll() -> None:
    assert loss("select", 900) == pytest.approx(loss("poll", 900), abs=0.02)
    assert loss("select", 900) > 0.05
    assert abs(loss("epoll", 900)) < 0.03


def test_the_loss_grows_with_the_idle_connections() -> None:
    losses = [loss("poll", idle) for idle in (0, 300, 900, 3_000, 10_000)]
    assert losses == sorted(losses)


def test_the_fewer_are_active_the_worse() -> None:
    """A scan is shared by all that it finds ready: batching hides it, few users do not."""
    few, many = (
        1 - peak_per_s("poll", 3_000, active) / peak_per_s("poll", 0, active)
        for active in (10, 300)
    )
    assert few > many + 0.2
