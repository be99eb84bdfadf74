"""A results directory: what was added is there, wherever its writer was killed."""

from contextlib import closing
from pathlib import Path

import pytest

from iosim.errors import UsageError
from iosim.studies import parts, store
from iosim.studies.running import Estimated, Outcome, Row
from iosim.studies.store import Store, read

THIRD = 1 / 3


def outcome(mean: float = THIRD) -> Outcome:
    metrics = {
        "x_ns": Estimated(mean, 1e-300, 12345678.900000001, 5),
        "y": Estimated(None, None, None, 0),
    }
    return Outcome(
        "done",
        None,
        (Row('=a, "b"', None, ("short", "odd"), metrics), Row("NA", None, (), metrics)),
    )


FAILED = Outcome(
    "failed",
    "deadlock: one, two",
    (
        Row("a", None, (), {"y": Estimated(1.0, None, None, 1)}),
        Row("b", "deadlock: one, two", (), {}),
    ),
)


@pytest.fixture(params=["parquet", "csv"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With pyarrow, and without."""
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    else:
        monkeypatch.setattr(parts, "find_spec", lambda name: None)
    found: str = request.param
    return found


def numbers(folder: Path) -> list[tuple[str, str, str, float]]:
    rows = read(folder)
    return [
        *zip(rows["point"], rows["model"], rows["metric"], rows["mean"].fillna(-1), strict=True)
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_every_number_comes_back_to_the_bit(tmp_path: Path, kind: str, packed: bool) -> None:
    with closing(Store(tmp_path / "out")) as kept:
        kept.add("p1", "a=1", outcome())
        kept.add("p2", "a=2", FAILED)
        if packed:
            kept.pack()
    assert [path.suffix for path in parts.files(tmp_path / "out" / "parts")] == [
        f".{kind}"
    ] * packed
    rows = read(tmp_path / "out")
    assert list(rows.columns) == list(parts.COLUMNS)
    first = rows[(rows["model"] == '=a, "b"') & (rows["metric"] == "x_ns")].iloc[0]
    assert (first["mean"], first["low"], first["high"], first["n"]) == (
        THIRD,
        1e-300,
        12345678.900000001,
        5,
    )
    assert rows["mean"].isna().tolist() == [False, True, False, True, False, True]
    assert rows["model"].tolist() == ['=a, "b"', '=a, "b"', "NA", "NA", "a", "b"]
    assert rows["error"].tolist() == [*[""] * 5, "deadlock: one, two"]
    assert rows["warnings"].tolist() == [*["short; odd"] * 2, *[""] * 4]
    assert rows["state"].tolist() == [*["done"] * 4, "failed", "failed"]
    assert rows["changes"].tolist() == [*["a=1"] * 4, "a=2", "a=2"]


def test_what_is_there_is_known_when_it_is_opened_again(tmp_path: Path, kind: str) -> None:
    with closing(Store(tmp_path)) as kept:
        kept.add("p1", "", outcome())
        kept.pack()
        kept.add("p2", "", FAILED)
    with closing(Store(tmp_path)) as kept:
        assert (kept.state("p1"), kept.state("p2"), kept.state("p3")) == ("done", "failed", None)


def test_many_points_become_parts_on_their_way(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "POINTS_A_PART", 4)
    with closing(Store(tmp_path)) as kept:
        for number in range(10):
            kept.add(f"p{number}", "", outcome(number))
            assert (tmp_path / "recent.jsonl").read_bytes().count(b"\n") < 4
    assert len(parts.files(tmp_path / "parts")) == 2
    assert len((tmp_path / "recent.jsonl").read_text().splitlines()) == 2
    assert len(numbers(tmp_path)) == 40
    assert [path.name for path in (tmp_path / "parts").iterdir() if path.name[0] == "."] == []


def test_half_a_line_is_where_it_was_killed(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as kept:
        kept.add("p1", "", outcome())
        kept.add("p2", "", outcome())
    whole = (tmp_path / "recent.jsonl").read_bytes()
    for cut in (1, 2, 100, len(whole) // 2 - 1):
        (tmp_path / "recent.jsonl").write_bytes(whole[:-cut])
        assert {row[0] for row in numbers(tmp_path)} == {"p1"}
        with closing(Store(tmp_path)) as kept:
            assert (kept.state("p1"), kept.state("p2")) == ("done", None)
            kept.add("p2", "", outcome())
        assert (tmp_path / "recent.jsonl").read_bytes() == whole


def test_killed_between_a_part_and_an_empty_file_tells_each_point_once(
    tmp_path: Path, kind: str
) -> None:
    with closing(Store(tmp_path)) as kept:
        kept.add("p1", "", outcome())
        kept.add("p2", "", FAILED)
        recent = (tmp_path / "recent.jsonl").read_bytes()
        before = numbers(tmp_path)
        kept.pack()
    (tmp_path / "recent.jsonl").write_bytes(recent)
    assert numbers(tmp_path) == before
    with closing(Store(tmp_path)) as kept:
        kept.pack()
    assert numbers(tmp_path) == before


def test_killed_while_a_part_is_written_leaves_none(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as kept:
        kept.add("p1", "", outcome())
        before = numbers(tmp_path)
        (tmp_path / "parts" / ".000001.parquet").write_bytes(b"PAR1 half")
        assert numbers(tmp_path) == before
        kept.pack()
    assert numbers(tmp_path) == before


def test_a_lost_point_is_not_known_and_what_it_comes_to_later_is_read(
    tmp_path: Path, kind: str
) -> None:
    lost = Outcome("lost", "killed", ())
    with closing(Store(tmp_path)) as kept:
        kept.add("p1", "", lost)
        kept.pack()
        kept.add("p2", "", lost)
    assert read(tmp_path)["error"].tolist() == ["killed", "killed"]
    with closing(Store(tmp_path)) as kept:
        assert kept.state("p1") is None
        kept.add("p1", "", outcome())
    assert set(zip(read(tmp_path)["point"], read(tmp_path)["state"], strict=True)) == {
        ("p1", "done"),
        ("p2", "lost"),
    }


class TestRefusals:
    def test_a_folder_of_something_else_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "letter.txt").write_text("dear")
        with pytest.raises(UsageError, match="expected a new folder, or that of a sweep"):
            Store(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]

    def test_two_writers_at_once(self, tmp_path: Path) -> None:
        refused = pytest.raises(UsageError, match="found another sweep at work in it")
        with closing(Store(tmp_path)), refused:
            Store(tmp_path)
        Store(tmp_path).close()

    def test_where_no_folder_can_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match="cannot be written"):
            Store(tmp_path / "file" / "out")
