"""`iosim rerun` and `iosim what-if`: their files, formats and exit codes."""

from pathlib import Path

from commandline import TINY, iosim


def test_a_result_is_repeated_and_an_edited_one_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    assert iosim("run", "-", "--jobs", 1, "--export", path, stdin=TINY).code == 0
    done = iosim("rerun", path, "--jobs", 1)
    assert (done.code, done.err) == (0, "")
    assert "The same to the bit" in done.out
    path.write_text(path.read_text().replace('"offered"', '"ofered"', 1))
    done = iosim("rerun", path, "--jobs", 1, "--json", "--export", tmp_path / "rerun.md")
    assert done.code == 3
    assert done.document["same"] is False
    assert "ofered" in (tmp_path / "rerun.md").read_text()


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    done = iosim("rerun", tmp_path / "none.json")
    assert (done.code, done.out) == (2, "")
    assert "cannot be read" in done.err


def test_changes_are_told_with_their_cause(tmp_path: Path) -> None:
    export = tmp_path / "changes.csv"
    change = ("--change", "server.handler.0.cpu=30us", "--change", "runtime=cpython")
    done = iosim("what-if", "-", "--jobs", 1, *change, "--export", export, stdin=TINY)
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert "server.handler.0.cpu=30us: epoll: " in done.out
    assert "(of it user +" in " ".join(done.out.split())
    assert export.read_text().startswith("change,model,metric,unit,")
    done = iosim("what-if", "-", "--jobs", 1, *change, "--json", stdin=TINY)
    assert [change["change"] for change in done.document["changes"]] == [*change[1::2]]


def test_quiet_leaves_one_table_and_files_whole(tmp_path: Path) -> None:
    change = ("--change", "server.handler.0.cpu=30us", "--change", "profile.context_switch=x2")
    export = tmp_path / "changes.md"
    done = iosim("what-if", "-", "-q", "--jobs", 1, *change, "--export", export, stdin=TINY)
    assert (done.code, done.err) == (0, "")
    tables = [line for line in done.out.splitlines() if "syscalls" in line]
    assert len(tables) == 1
    assert tables[0].startswith("change: model")
    assert "Of this" not in done.out
    assert "mean response time" not in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert "Of this, in the mean response time" in export.read_text()
    alone = iosim("what-if", "-", "-q", "--jobs", 1, *change[:2], stdin=TINY).out
    assert alone.splitlines()[2].startswith("server.handler.0.cpu=30us")
    assert alone.splitlines()[3].startswith("model ")


def test_either_changes_or_sensitivity_are_asked_for() -> None:
    for wrong in ((), ("--sensitivity", "--change", "machine.cores=2")):
        done = iosim("what-if", "-", *wrong, stdin=TINY)
        assert done.code == 2
        assert "expected either --change or --sensitivity" in done.err


def test_sensitivity_is_shown_as_a_tornado() -> None:
    brief = TINY.replace("duration: 20ms, replications: 2", "duration: 4ms, replications: 1")
    args = ("--sensitivity", "--metric", "cpu_time_per_request_ns", "--model", "epoll")
    done = iosim("what-if", "-", "--jobs", 1, *args, stdin=brief)
    assert done.code == 0
    assert "at low" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
