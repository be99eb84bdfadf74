"""Bytes are conserved, however they travel: in pieces, through a full send buffer, several at once.

What a connection has been sent is what the server reads from it, in order; what the server sends
is what reaches its client. Seen from outside the models: where parts arrive, and at the ends of
the calls of the kernel.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from grounds import OPTIONS, Data, Seen, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import Driven

from iosim.clients import Client
from iosim.machine.request import ANSWERED, Request
from iosim.machine.sending import SendBuffer
from iosim.machine.sockets import READ_BYTES, Part, Socket, SocketCalls
from iosim.profile import load
from iosim.scenario import from_data

CLIENTS = 3
KINDS = [
    (model, number)
    for model in serving("requests")
    for number in range(1 + len(OPTIONS.get(model, [])))
]


class Bytes:
    """Bytes of each request and of each answer, where they have been seen."""

    def __init__(self) -> None:
        self.arrived: Counter[int] = Counter()
        self.read: Counter[int] = Counter()
        self.put: Counter[int] = Counter()
        self.answered: Counter[int] = Counter()
        self.largest_read = 0

    @contextmanager
    def seen(self) -> Iterator[None]:
        """Look on while the world runs."""
        with pytest.MonkeyPatch.context() as patch:
            self._watch_reads(patch)
            self._watch_writes(patch)
            yield

    def _watch_reads(self, patch: pytest.MonkeyPatch) -> None:
        receive_parts, delivered = SocketCalls._receive_parts, Part.delivered

        def parts(
            calls: SocketCalls, received: list[Any], part: Part, cause: int, ns: int, name: str
        ) -> Any:
            before = [part, *received]
            result = receive_parts(calls, received, part, cause, ns, name)
            taken = before[: len(before) - len(received)]
            self.largest_read = max(self.largest_read, sum(each.bytes for each in taken))
            assert len({id(each.message) for each in taken}) == 1  # of one message
            for each in taken:
                if each.message is not None:
                    self.read[each.message.number] += each.bytes
            return result

        def arrived(part: Part, now: int) -> None:
            if part.message is not None:
                self.arrived[part.message.number] += part.bytes
            delivered(part, now)

        patch.setattr(SocketCalls, "_receive_parts", parts)
        patch.setattr(Part, "delivered", arrived)

    def _watch_writes(self, patch: pytest.MonkeyPatch) -> None:
        put, receive = SendBuffer.put, Client.receive

        def putting(buffer: SendBuffer, message: Any, size_bytes: int, last: bool) -> None:
            assert size_bytes <= buffer.room_bytes  # never more than fits
            self.put[message.number] += size_bytes
            put(buffer, message, size_bytes, last)

        def receiving(client: Client, socket: Socket, message: Request, at_ns: int) -> None:
            self.answered[message.number] += message.reply_bytes
            receive(client, socket, message, at_ns)

        patch.setattr(SendBuffer, "put", putting)
        patch.setattr(Client, "receive", receiving)


SITUATION = st.fixed_dictionaries(
    {
        "request": st.integers(1, 150_000),
        "reply": st.integers(1, 120_000),
        "send_buffer": st.integers(1_000, 90_000),
        "receive_rate": st.sampled_from([None, "20MB/s", "500MB/s"]),
        "pipeline": st.integers(1, 5),
        "slow": st.sampled_from([None, 0, 1]),
        "piece": st.integers(2_000, 70_000),
        "handler": st.sampled_from(
            [[], [{"cpu": "5us"}], [{"sleep": "100us"}], [{"call": "db"}, {"cpu": "5us"}]]
        ),
        "cores": st.integers(1, 2),
        "arrivals": st.lists(
            st.tuples(st.integers(0, 1_000_000), st.integers(0, CLIENTS - 1)),
            min_size=3,
            max_size=14,
        ),
    }
)


@pytest.mark.parametrize(
    ("model", "number"), KINDS, ids=[f"{model}+{number}" for model, number in KINDS]
)
@settings(max_examples=6)
@given(how=SITUATION)
def test_all_bytes_arrive_and_none_twice(model: str, number: int, how: Data) -> None:
    connections: Data = {"total": CLIENTS, "pipeline": how["pipeline"]}
    if how["receive_rate"] is not None:
        connections["receive_rate"] = how["receive_rate"]
    if how["slow"] is not None:
        share = ["50%", "100%"][how["slow"]]
        connections["slow"] = {"share": share, "piece": f"{how['piece']}B", "gap": "20us"}
    options = [{}, *OPTIONS.get(model, [])][number]
    workload = {key: f"{how[key]}B" for key in ("request", "reply")}
    scenario = from_data(
        {
            "machine": {"cores": how["cores"], "send_buffer": f"{how['send_buffer']}B"},
            "server": {"handler": how["handler"]},
            "devices": {"db": {"remote": {"latency": "100us", "concurrency": 2}}}
            if {"call": "db"} in how["handler"]
            else {},
            "workload": {"open": {"rate": "1k/s", "connections": connections, **workload}},
            "models": [{model: options}],
        }
    )
    seen, counted = Seen(), Bytes()
    with counted.seen():
        world = Driven(scenario, load("reference").costs, seen)
        world.send(*how["arrivals"])
        world.finish(2_000_000_000)
    fates = world.fates()
    numbers = range(len(how["arrivals"]))
    assert fates["completed"] == len(numbers)
    # Each request came as a whole, and was read as a whole, no read larger than its buffer.
    if counted.arrived:
        slow = counted.arrived.keys()
        assert all(counted.arrived[each] == how["request"] for each in slow)
        assert counted.read == counted.arrived
        assert counted.largest_read <= max(READ_BYTES, how["piece"])
    # Each answer went into the send buffer as a whole, and reached its client once.
    if how["receive_rate"] is not None:
        assert counted.put == dict.fromkeys(numbers, how["reply"])
    assert counted.answered == dict.fromkeys(numbers, how["reply"])
    assert [r.state for r in seen.delivered_requests.values()] == [ANSWERED] * len(numbers)
