"""Measured rows, and files of them."""

from importlib.resources import files
from pathlib import Path

import pytest

from iosim.calibration import rows

SHIPPED = Path(str(files("iosim"))) / "profiles" / "measurements-2026-11-23.csv"


def test_a_file_is_read_and_written_as_it_is(tmp_path: Path) -> None:
    read = rows.read(SHIPPED)
    copy = tmp_path / "copy.csv"
    copy.write_text(rows.to_csv(read))
    assert rows.read(copy) == read
    assert {row.key for row in read} >= {"c null_syscall getppid", "py asyncio_loop_pass 1 task"}


def test_samples_give_their_quartiles() -> None:
    row = rows.of_samples(2, "c", "nap", "1ms", [float(x) for x in range(101)])
    assert (row.q1, row.median, row.q3) == (25, 50, 75)
    assert (row.least, row.p99, row.count) == (0, 99, 101)
    assert row.key == "c nap 1ms"


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected the columns pass, lang"):
        rows.read(path)
