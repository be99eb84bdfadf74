"""Sums of costs: read, refused, worked out."""

from pathlib import Path

import pytest

from iosim.calibration.equations import Term, equations, parse, positions
from iosim.errors import Mismatch, UsageError
from iosim.profile import load

ENTRIES = load("reference").entries
TABLE = ((100, 1_000), (200, 3_000))


def test_a_sum_is_its_terms() -> None:
    equation = parse("c x", "2*syscall + futex+syscall\n + 8 * idle_exit(100us)", ENTRIES)
    assert equation.terms == (
        Term(2, "syscall"),
        Term(1, "futex"),
        Term(1, "syscall"),
        Term(8, "idle_exit", 100_000),
    )
    values = {"syscall": 7, "futex": 11, "idle_exit": ((50_000, 100), (150_000, 300))}
    assert equation.total_ns(values) == 3 * 7 + 11 + 8 * 200
    assert equation.weights(values) == {
        ("syscall", 0): 3,
        ("futex", 0): 1,
        ("idle_exit", 0): 4,
        ("idle_exit", 1): 4,
    }


@pytest.mark.parametrize(
    ("x", "parts"),
    [
        (50, [(0, 1.0)]),
        (100, [(0, 1.0)]),
        (125, [(0, 0.75), (1, 0.25)]),
        (200, [(1, 1.0)]),
        (900, [(1, 1.0)]),
    ],
)
def test_a_table_between_its_points(x: int, parts: list[tuple[int, float]]) -> None:
    assert positions(TABLE, x) == parts


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sycall", "expected the name of a cost, found 'sycall'; did you mean 'syscall'?"),
        ("syscall - futex", "expected a sum of costs"),
        ("syscall * futex", "expected a sum of costs"),
        ("syscall +", "expected a sum of costs"),
        ("syscall(3)", "expected syscall by itself"),
        ("idle_exit", "expected idle_exit at an x"),
        ("idle_exit(100)", "expected a duration with its unit"),
        ("poll_per_descriptor(100us)", "expected a count"),
    ],
)
def test_what_is_no_sum_is_refused(text: str, told: str) -> None:
    with pytest.raises(Mismatch, match=told.replace("?", r"\?")):
        parse("c x", text, ENTRIES)


def test_all_mistakes_of_a_profile_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ndescription: x\nextends: reference\ncosts:\n"
        "  futex: {value: 1us, how: assumed, source: x, rows: {c a: futex + 1}}\n"
        "  lock: {value: 1us, how: assumed, source: x, rows: {c getppid: lok, c b: lock}}\n"
        "  poll: {value: 1us, how: assumed, source: x, rows: {c b: poll}}\n"
    )
    with pytest.raises(UsageError) as caught:
        equations(load(path))
    told = str(caught.value).splitlines()
    assert [line.partition("costs.")[2] for line in told] == [
        "lock.rows: c getppid: expected the name of a cost, found 'lok'; did you mean 'lock'?",
        "lock.rows: c b: expected one sum a row, as poll, found lock",
        "futex.rows: c a: expected a sum of costs, such as syscall + 2*futex, found '1'",
    ]
