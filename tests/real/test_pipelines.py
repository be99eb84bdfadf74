"""The pipelines for real: what becomes of the items, in what order, and the deadlock."""

import time
from array import array
from typing import Any

import pytest
from serving import PATIENCE_S, Serving

US = 1000
ITEMS = [(20 * US, 20 * US), (30 * US, 10 * US), (0, 50 * US)]
DURATION_NS = 300_000 * US
PLANNED = {
    "arrivals": "items",
    "capacity": 4,
    "producers": 1,
    "consumers": 1,
    "duration_ns": DURATION_NS,
}


class Producing(Serving):
    """A pipeline that runs."""

    def __init__(self, model: str, options: dict[str, Any], **changes: Any) -> None:
        super().__init__(
            model,
            options,
            [],
            **{"table": ITEMS, **PLANNED, **changes},
        )
        assert self.first_line == "ready"

    def start(self) -> int:
        start_ns = time.monotonic_ns() + 10_000 * US
        self.say(f"start {start_ns}")
        return start_ns

    def responses(self) -> list[tuple[int, ...]]:
        found = array("q", (self.folder / "responses").read_bytes())
        return [tuple(found[i : i + 5]) for i in range(0, len(found), 5)]

    def order(self) -> str:
        return (self.folder / "order").read_text()


@pytest.mark.parametrize("model", ["threads", "coroutines"])
def test_items_are_made_and_used(model: str) -> None:
    with Producing(model, {}) as pipeline:
        pipeline.start()
        first = pipeline.mark()
        assert pipeline.read_line() == "done"
        last = pipeline.mark()
        rows = pipeline.responses()
        assert [row for row, *_ in rows] == [i % 3 for i in range(len(rows))]
        assert len(rows) > 100
        answered = 0
        for row, intended_ns, made_ns, used_ns, state in rows:
            assert 0 <= intended_ns == made_ns <= DURATION_NS + 1_000_000_000
            assert state == (used_ns >= 0)
            if state:
                answered += 1
                assert made_ns + ITEMS[row][1] <= used_ns <= DURATION_NS
        assert len(rows) - answered <= 4 + 2  # in the buffer, and in two hands
        assert answered <= last["answered"] <= len(rows)
        assert first["answered"] < last["answered"]
        if model == "coroutines":
            assert pipeline.order() == "PC" * 32
            # The last producer is resumed once more, and finds that the load is over.
            assert last["coroutine_switches"] == 2 * len(rows) + 1
        else:
            assert set(pipeline.order()) == {"P", "C"} and len(pipeline.order()) == 64
        assert pipeline.end() == (0, "")


def test_threads_with_several_on_both_sides() -> None:
    with Producing("threads", {"second_lock": "ordered"}, producers=3, consumers=2) as pipeline:
        pipeline.start()
        assert pipeline.read_line() == "done"
        rows = pipeline.responses()
        assert len(rows) > 100
        assert pipeline.end() == (0, "")


def test_coroutines_take_turns() -> None:
    with Producing("coroutines", {}, producers=3, consumers=2) as pipeline:
        pipeline.start()
        assert pipeline.read_line() == "done"
        assert pipeline.order() == "PC" * 32
        assert pipeline.end() == (0, "")


def test_a_deadlock_is_named_and_ends_the_process() -> None:
    # The consumer has the statistics while it waits for the buffer, the producer the other way
    # round; with several of each they meet at once.
    # Nothing is computed, so that a thread is mostly preempted where it has a lock.
    with Producing(
        "threads",
        {"second_lock": "misordered"},
        table=[(0, 0)],
        producers=4,
        consumers=4,
        duration_ns=10**11,
    ) as pipeline:
        pipeline.start()
        line = pipeline.read_line()
        assert pipeline.process.wait(PATIENCE_S) == 3
        assert line.startswith("deadlock ")
        assert "holds buffer lock, waits for statistics lock (held by consumer" in line
        assert "holds statistics lock, waits for buffer lock (held by producer" in line


def test_it_ends_with_its_stdin() -> None:
    with Producing("threads", {}) as pipeline:
        pipeline.start()
        assert pipeline.end() == (0, "")
