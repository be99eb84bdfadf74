"""A request of the load, and how it ends.

Validated by: tests/real/test_load.py
"""

IN_FLIGHT, ANSWERED, REFUSED, TIMED_OUT, ANSWERED_WITH_ERROR = range(5)


class Request:
    """A request, from the moment when it is offered; instants are of CLOCK_MONOTONIC."""

    __slots__ = (
        "answered_ns",
        "attempt",
        "intended_ns",
        "late_ns",
        "row",
        "sent_ns",
        "state",
        "under_way",
    )

    def __init__(self, row: int, intended_ns: int, attempt: int) -> None:
        self.row = row
        self.intended_ns = intended_ns
        self.attempt = attempt
        self.sent_ns = self.answered_ns = -1
        # From when it could be sent.
        self.late_ns = 0
        self.state = IN_FLIGHT
        # Sent or being sent, on a connection that is open.
        self.under_way = False
