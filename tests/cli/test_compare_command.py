"""`iosim compare`: results in files, and models of them."""

from pathlib import Path

from commandline import TINY, iosim

from iosim.studies.comparing import HEADLINE


def test_the_command_reads_files_and_models_of_them(tmp_path: Path) -> None:
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    (tmp_path / "tiny.yaml").write_text(TINY)
    for path, cost in ((a, "x1"), (b, "x8")):
        change = f"profile.epoll_wait={cost}"
        done = iosim("run", tmp_path / "tiny.yaml", "--jobs", 1, "--set", change, "--export", path)
        assert done.code == 0
    done = iosim("compare", a, b)
    assert done.code == 0
    assert "Different costs: epoll_wait_ns." in done.out
    assert max(map(len, done.out.splitlines())) <= 80 or str(tmp_path) in done.out
    done = iosim("compare", a, b, "--json")
    pairs = {pair["a"]: pair["metrics"] for pair in done.document["pairs"]}
    assert pairs["epoll"]["cpu_time_per_request_ns"]["difference"]["mean"] > 0
    assert pairs["blocking"]["cpu_time_per_request_ns"]["difference"]["mean"] == 0
    assert set(HEADLINE) <= set(pairs["epoll"])
    one = iosim(
        "compare", f"{a}:blocking", f"{a}:coro", "--markdown", "--metric", "cpu_utilization"
    )
    assert "blocking" in one.out and "| utilization |" in one.out
    for wrong, told in (
        ((f"{a}:cor", b), "did you mean 'coro'?"),
        ((a, b, "--metric", "mea"), "did you mean 'mean'?"),
        ((a, b, "--metric", "memory_nothing_bytes"), "expected a metric that both have"),
        ((a, tmp_path / "none.json"), "cannot be read"),
        ((a, b, "--export", "x.txt"), "expected a file that ends in one of"),
    ):
        done = iosim("compare", *wrong)
        assert done.code == 2
        assert told in done.err
