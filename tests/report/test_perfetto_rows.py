"""Rows and counts: told in any order, written as they were."""

from pathlib import Path

from oracle import Ran, Read, read

from iosim.report.perfetto.packets import ASLEEP, DEAD, RUNNABLE, Packets, Task
from iosim.report.perfetto.rows import Counts, Rows

A, B = Task(10, "a"), Task(11, "b")


class Sheet:
    """Rows in a file, and what comes out."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "trace"
        self._file = self._path.open("wb")
        self.packets = Packets(self._file)
        self.rows = Rows(self.packets, "server", 10)

    def read(self, end_ns: int) -> Read:
        self.rows.finish(end_ns)
        self._file.close()
        return read(self._path)


def test_one_thread_after_another_is_one_switch(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path)
    sheet.rows.start(0)
    sheet.rows.runs(0, 10, A)
    sheet.rows.leaves(0, 20, RUNNABLE)
    sheet.rows.runs(0, 20, B)
    sheet.rows.leaves(0, 30, ASLEEP)
    sheet.rows.runs(0, 35, A)
    found = sheet.read(40)
    assert found.ran == [
        Ran(0, 10, "a", 10, 20, RUNNABLE),
        Ran(0, 11, "b", 20, 30, ASLEEP),
        Ran(0, 10, "a", 35, 40, RUNNABLE),
    ]
    # One packet more than there are switches: idle-a, a-b, b-idle, idle-a, a-idle.
    assert found.packets == 1 + 1 + 5


def test_who_has_a_core_at_the_start_has_it_from_then_on(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path)
    sheet.rows.runs(1, 10, A)
    sheet.rows.runs(0, 10, B)
    sheet.rows.leaves(0, 20, DEAD)
    sheet.rows.slice(A, 12, 18, "before", "user")
    sheet.rows.start(100)
    sheet.rows.slice(A, 90, 110, "compute", "user")
    sheet.rows.leaves(1, 120, ASLEEP)
    found = sheet.read(130)
    assert found.ran == [Ran(1, 10, "a", 100, 120, ASLEEP)]
    (piece,) = found.slices
    assert (piece.name, piece.from_ns, piece.to_ns) == ("compute", 100, 110)


def test_requests_share_a_row_if_they_do_not_overlap(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path)
    sheet.rows.start(0)
    first = sheet.rows.request_row("requests", 0, 10)
    second = sheet.rows.request_row("requests", 5, 20)
    assert sheet.rows.request_row("requests", 10, 30) == first != second
    assert sheet.rows.request_row("requests", 20, 30) == second
    assert sheet.rows.request_row("requests", 29, 30) not in (first, second)
    assert list(sheet.read(30).names.values()).count("requests") == 3


def test_counts_are_written_in_the_order_of_time(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path)
    counts = Counts(sheet.rows, ["waiting"])
    counts.change("waiting", 5, 2)
    counts.write_until(7)
    sheet.rows.start(8)
    counts.start(8)
    counts.change("waiting", 30, -1)
    counts.change("waiting", 20, 4)
    counts.write_until(25)
    counts.change("waiting", 28, -3)
    counts.change("waiting", 15, 1)  # too late to be told where it belongs
    counts.write_until(40)
    found = sheet.read(40)
    assert found.counts["waiting"] == [(8, 2), (20, 6), (20, 7), (28, 4), (30, 3)]
