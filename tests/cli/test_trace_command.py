"""`iosim trace`: options in, a file and a line out."""

from pathlib import Path

from commandline import DEADLOCK, TINY, iosim


def test_it_writes_a_file_and_says_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "run.pftrace"
    done = iosim("trace", "-", "--model", "coro", "-o", path, "--duration", "5ms", stdin=TINY)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{path}: 5.00 ms of coro, ")
    assert done.out.endswith("open it in https://ui.perfetto.dev\n")
    assert path.stat().st_size > 1_000


def test_changes_profile_and_seed_are_heard(tmp_path: Path) -> None:
    def size(*options: object) -> int:
        path = tmp_path / "run.pftrace"
        done = iosim("trace", "-", "--model", "epoll", "-o", path, *options, stdin=TINY)
        assert done.code == 0, done.err
        return path.stat().st_size

    usual = size()
    assert size("--set", "workload.open.rate=20k/s") > 1.5 * usual
    assert size("--seed", 7) != usual
    assert size("--profile", "free") != usual


def test_what_is_wrong_is_told_before_anything_runs(tmp_path: Path) -> None:
    done = iosim("trace", "-", "--model", "epol", "-o", tmp_path / "a", stdin=TINY)
    assert (done.code, done.out) == (2, "")
    assert "found 'epol'; did you mean 'epoll'?" in done.err
    done = iosim("trace", "-", "--model", "epoll", "-o", tmp_path / "no" / "a", stdin=TINY)
    assert done.code == 2 and done.err.startswith("--output ")


def test_a_deadlock_is_told_and_its_trace_is_there(tmp_path: Path) -> None:
    path = tmp_path / "run.pftrace"
    done = iosim("trace", "-", "--model", "misordered", "-o", path, stdin=DEADLOCK)
    assert done.code == 1 and "deadlock" in done.err
    assert path.stat().st_size > 1_000
