"""The held-out grid: a balanced design of cells, chosen before any of them was compared.

The whole grid is runtime x model x connections x demand x device x load: every I/O model that has
a real server and serves requests, 1, 16, 128 and 512 connections, 20 and 100 us of work, with and
without a 1 ms call, at 20, 50 and 80% of what the real server answers at most. It is too large to
measure, and a part of it must not be picked by hand. The rule:

- Each model gets four points, one for each number of connections; each of the four pairs (demand,
  device) is used by one of them. Such a plan is a permutation of four things, of which there are
  24; every other one is even. The twelve even ones go to the twelve models of one runtime, the odd
  ones to the other's, so that within a runtime each of the 16 combinations of connections, demand
  and device occurs exactly three times, in three models that can be put in order.
- Which model gets which permutation is decided by a hash of names and `SEED`.
- The runs that a calibration fits to (`FITTED`) must not be among them, so that their models take
  their permutation first, from those that do not contain that point.
- Each point is run at all three loads, after its saturation.

So each level of each factor occurs equally often with each model: 24 models, 96 points, 288 cells.

Scope: one server core, as the machine that it was chosen for has two, one of them the clients'.
Not done: retries, slow clients, bodies of other sizes: the grid is about I/O models; those that
came after it was chosen (`LATER`), as a design that has been compared is not chosen again.
Validated by: tests/validation/test_held_out_grid.py
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import permutations
from typing import Any

from iosim.scenario import Scenario, from_data

SEED = 20261123
SHARES = (0.2, 0.5, 0.8)
CONNECTIONS = (1, 16, 128, 512)
WORK = (("20us", False), ("20us", True), ("100us", False), ("100us", True))
"""(demand, whether a device is called)."""

MODELS: dict[str, dict[str, Any]] = {
    "aio": {},
    "asyncio": {},
    "blocking": {},
    "coroutine": {},
    "epoll": {},
    "io_uring": {},
    "nonblocking": {},
    "poll": {},
    "prefork": {},
    "select": {},
    "signal_driven": {},
    "thread_pool": {"threads": 16},
    "thread_pool_callbacks": {"threads": 16},
}
"""With the options that have no default to go by."""

LATER = frozenset(("uvloop",))

RUNTIMES: dict[str, tuple[str, ...]] = {
    "native": tuple(sorted(MODELS.keys() - {"asyncio"})),
    "cpython": tuple(sorted(MODELS.keys() - {"prefork"})),
}
"""The models that there is a real server of."""

FITTED = frozenset(("epoll", "blocking", "coroutine"))
FITTED_CONNECTIONS = 16
FITTED_WORK = WORK[0]
"""Calibration fits to runs of these models, so many connections and this work."""

DURATION_MS = 1_500
REPLICATIONS = 5
"""Of three the mean of what differs by 2% from run to run is known within 5%, of five 2.5%."""


@dataclass(frozen=True)
class Point:
    """A cell but for its load."""

    runtime: str
    model: str
    connections: int
    demand: str
    device: bool

    @property
    def name(self) -> str:
        """Such as `native, 16 connections, 20us, 1ms call`."""
        called = ", 1ms call" if self.device else ""
        plural = "s" if self.connections > 1 else ""
        return f"{self.runtime}, {self.connections} connection{plural}, {self.demand}{called}"

    def scenario(self) -> Scenario:
        """What is run. Its rate is set by the load; this one stands for it."""
        call = [{"call": "device"}] if self.device else []
        return from_data(
            {
                "name": self.name,
                "machine": {"cores": 1, "runtime": self.runtime},
                "server": {"handler": [{"cpu": self.demand}, *call]},
                "devices": {"device": {"remote": {"latency": "1ms"}}} if self.device else {},
                "workload": {"open": {"rate": "100/s", "connections": {"total": self.connections}}},
                "models": [{self.model: MODELS[self.model]}],
                "run": {"duration": f"{DURATION_MS}ms", "replications": REPLICATIONS},
            }
        )


@cache
def design() -> tuple[Point, ...]:
    """The points, in an order that mixes models, so that no hour of the machine is one model's."""
    points = [
        Point(runtime, model, connections, *work)
        for runtime, parity in zip(RUNTIMES, (0, 1), strict=True)
        for model, plan in _plans(runtime, parity).items()
        for connections, work in zip(CONNECTIONS, plan, strict=True)
    ]
    return tuple(sorted(points, key=lambda point: _hash(point.model, point.name)))


def _plans(runtime: str, parity: int) -> dict[str, tuple[tuple[str, bool], ...]]:
    """For each model the work by connections."""
    free = sorted(
        (plan for plan in permutations(WORK) if _inversions(plan) % 2 == parity),
        key=lambda plan: _hash(runtime, *map(str, plan)),
    )
    chosen = {}
    # Those that may not have every plan choose first.
    for model in sorted(RUNTIMES[runtime], key=lambda name: (name not in FITTED, _hash(name))):
        plan = next(
            plan
            for plan in free
            if model not in FITTED or plan[CONNECTIONS.index(FITTED_CONNECTIONS)] != FITTED_WORK
        )
        free.remove(plan)
        chosen[model] = plan
    return chosen


def _inversions(plan: tuple[tuple[str, bool], ...]) -> int:
    places = [WORK.index(work) for work in plan]
    return sum(a > b for i, a in enumerate(places) for b in places[i + 1 :])


def _hash(*words: str) -> str:
    return sha256(" ".join((str(SEED), *words)).encode()).hexdigest()


def scenarios(part: int = 1, of: int = 1) -> tuple[Scenario, ...]:
    """The scenarios of the design, or of one of its parts: every `of`-th, from `part` on."""
    return tuple(point.scenario() for point in design()[part - 1 :: of])
