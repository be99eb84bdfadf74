"""Time goes forward, and everything that is asked of a world comes to its end."""

from typing import Any

import pytest
from grounds import CASES, ITEMS, Case, some_cases

from iosim.clients import Clients
from iosim.handler import CPU
from iosim.machine.request import ANSWERED, PARTS, REFUSED, TIMED_OUT, Request
from iosim.machine.thread import USER
from iosim.streams import Streams
from iosim.visitors import Visitors
from iosim.world import World, build

MS = 1_000_000


def built(case: Case) -> World:
    scenario = case.scenario
    return build(scenario, scenario.models[0], case.costs, Streams(scenario.run.seed, 0))


@some_cases(every=2)
def test_time_goes_forward(case: Case) -> None:
    world = built(case)
    env = world.env

    def start() -> None:
        world.recording.boundary()
        world.start()

    world.connect(start)
    until_ns = (2 if case.profile == "free" else 15) * MS
    env.timeout(until_ns)  # as in every run, something is due at the end
    steps = 0
    while env.peek() <= until_ns and steps < 100_000:
        assert env.peek() >= env.now
        env.step()
        steps += 1


class Tap:
    """The clients' side of a world, which can be closed; and an account of all that passes."""

    def __init__(self, patch: pytest.MonkeyPatch, case: Case) -> None:
        self.requests: list[Request] = []
        self.open = True
        self.in_flight_ns = 0
        self._changed_ns = 0
        self._in_flight = 0
        for kind, name in ((Clients, "offer"), (Visitors, "_offer")):
            self._close(patch, kind, name)
        self.world = built(case)
        make = self._clients._request

        def kept(*args: Any) -> Request:
            request: Request = make(*args)
            self.requests.append(request)
            return request

        self._clients._request = kept

    def _close(self, patch: pytest.MonkeyPatch, kind: type, name: str) -> None:
        offer = getattr(kind, name)

        def counted(clients: Clients, *args: Any) -> None:
            if self.open:
                offer(clients, *args)

        patch.setattr(kind, name, counted)

    @property
    def _clients(self) -> Any:
        # The one object that a world's functions know and do not show.
        cells = self.world.fates.__closure__
        assert cells is not None
        return next(c.cell_contents for c in cells if isinstance(c.cell_contents, Clients))

    def run(self, load_ns: int) -> None:
        """Offer requests for so long, then let all of them come to an end."""
        ready: list[int] = []

        def start() -> None:
            ready.append(self.world.env._now)
            self.world.recording.boundary()
            self.world.start()

        self.world.connect(start)
        self.world.env.timeout(100 * MS)
        while not ready:
            self.world.env.step()
        end_ns = ready[0] + load_ns
        self.world.env.run(until=end_ns)
        self.open = False
        self.world.env.run(until=end_ns + 120 * MS)


DRAINED = [case for case in CASES if case.situation not in ITEMS][::2]


@pytest.mark.parametrize("case", DRAINED, ids=str)
def test_when_no_more_comes_every_request_has_ended(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = Tap(monkeypatch, case)
    tap.run(load_ns=3 * MS)
    fates = tap.world.fates()
    states = [request.state for request in tap.requests]
    assert fates["offered"] == len(tap.requests) > 5
    assert fates["in_flight"] == 0
    assert fates["completed"] == states.count(ANSWERED)
    assert fates["refused"] == states.count(REFUSED)
    assert fates["timed_out"] == states.count(TIMED_OUT)
    for request in tap.requests:
        if request.state == ANSWERED:
            parts_ns = [getattr(request, f"{part}_ns") for part in PARTS]
            assert sum(parts_ns) == request.answered_ns - request.intended_ns


FREE = [
    case
    for case in CASES
    if case.profile == "free" and case.situation not in ITEMS and "own work" not in case.situation
]


@pytest.mark.parametrize("case", FREE, ids=str)
def test_where_nothing_costs_anything_the_cores_compute_what_is_asked_and_no_more(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = Tap(monkeypatch, case)
    tap.run(load_ns=3 * MS)
    # Requests that were never sent (refused, given up in wait) are not computed.
    demand_ns = sum(
        ns
        for request in tap.requests
        if hasattr(request, "ready_ns")
        for (kind, _), ns in zip(request.steps, request.amounts, strict=True)
        if kind is CPU
    )
    cores = [core.account() for core in tap.world.machine.cores]
    assert sum(core[USER] for core in cores) == demand_ns
