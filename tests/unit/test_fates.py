"""What became of requests in the window of a measured run, from rows made by hand."""

from array import array

from handmade import histogram

from iosim.fates import fates_between

NEVER = -1
IN_FLIGHT, ANSWERED, REFUSED, TIMED_OUT, ANSWERED_WITH_ERROR = range(5)


def rows(*those: tuple[int, int, int]) -> "array[int]":
    """Rows of (intended_ns, answered_ns, state)."""
    made = array("q")
    for number, (intended_ns, answered_ns, state) in enumerate(those):
        made.extend((number, intended_ns, intended_ns, answered_ns, state))
    return made


def test_what_ends_in_the_window_is_counted_in_it() -> None:
    found = fates_between(
        rows(
            (50, NEVER, REFUSED),  # before the window
            (100, NEVER, REFUSED),
            (1_000, NEVER, REFUSED),  # after it
            (20, NEVER, TIMED_OUT),  # at 70
            (60, NEVER, TIMED_OUT),  # at 110
            (70, NEVER, TIMED_OUT),  # at 120
            (960, NEVER, TIMED_OUT),  # at 1,010
            (10, 90, ANSWERED_WITH_ERROR),
            (10, 190, ANSWERED_WITH_ERROR),
        ),
        begin_ns=100,
        end_ns=1_000,
        timeout_ns=50,
    )
    assert (found.refused, found.timed_out, found.failed) == (1, 2, 1)


def test_who_is_under_way_at_either_end() -> None:
    found = fates_between(
        rows(
            (10, 50, ANSWERED),
            (20, 150, ANSWERED),
            (30, NEVER, IN_FLIGHT),
            (60, NEVER, TIMED_OUT),  # at 460
            (700, NEVER, TIMED_OUT),  # at 1,100
            (900, 1_005, ANSWERED),
            (950, NEVER, IN_FLIGHT),
            (1_001, NEVER, IN_FLIGHT),  # after the window
        ),
        begin_ns=100,
        end_ns=1_000,
        timeout_ns=400,
    )
    assert found.under_way_before == histogram(80, 70, 40)
    assert found.under_way_after == histogram(970, 300, 100, 50)


def test_no_rows() -> None:
    found = fates_between(array("q"), 0, 1_000, 0)
    assert (found.refused, found.timed_out, found.failed) == (0, 0, 0)
    assert found.under_way_after == histogram()
