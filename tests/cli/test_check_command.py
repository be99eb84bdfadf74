"""`iosim check`: every mistake with its place and the near match; what is right, in short."""

import re
from pathlib import Path

import pytest
from commandline import PIPELINE, TINY, iosim

BROKEN = {
    "an unknown key": (
        ("cores: 2", "coers: 2"),
        r"<stdin>:1:11: machine\.coers: expected one of the keys .*; did you mean 'cores'\?",
    ),
    "a bare number for a time": (
        ("latency: 100us", "latency: 100"),
        r"<stdin>:3:17: devices\.db\.remote\.latency: expected a duration with its unit",
    ),
    "a wrong unit": (
        ("duration: 20ms", "duration: 20msec"),
        r"<stdin>:9:7: run\.duration: .* did you mean 'ms'\?",
    ),
    "a rate of zero": (
        ("rate: 10k/s", "rate: 0/s"),
        r"<stdin>:7:10: workload\.open\.rate: expected a rate .* more than 0, found '0/s'",
    ),
    "an unknown model": (
        ("[blocking, epoll", "[blocking, epol"),
        r"<stdin>:8:20: models\[1\]: expected one I/O model: .*; did you mean 'epoll'\?",
    ),
    "an unknown device": (
        ("call: db", "call: dbb"),
        r"<stdin>:5:27: server\.handler\[1\]\.call: .*\(db\), found 'dbb'; did you mean 'db'\?",
    ),
    "a key given twice": (
        ("cores: 2", "cores: 2, cores: 4"),
        r"<stdin>:1:21: .*cores",
    ),
    "a model given twice": (
        ("[blocking, epoll", "[epoll, epoll"),
        r"<stdin>:8:17: models\[1\]: expected a label of its own",
    ),
    "not a number": (
        ("replications: 2", "replications: .nan"),
        r"<stdin>:9:37: run\.replications: expected",
    ),
    "a thousand cores": (
        ("cores: 2", "cores: 1000"),
        r"<stdin>:1:11: machine\.cores: expected at most 256 cores \(--force",
    ),
    "10^12 requests": (
        ("duration: 20ms", "duration: 30000h"),
        r"<stdin>:9:7: run\.duration: expected at most 100,000,000 requests",
    ),
    "broken YAML": (
        ("models: [", "models: [["),
        r"<stdin>:9:\d+: ",
    ),
    "an objective on no metric": (
        ("run:", "slo: [p999 < 1ms]\nrun:"),
        r"<stdin>:9:7: slo\[0\]: expected a metric .*; did you mean 'p99.9'\?",
    ),
    "a label of two lines": (
        ("label: coro", 'label: "a\\nb"'),
        r"<stdin>:8:\d+: models\[2\]\.coroutine\.label: expected a label without line breaks",
    ),
    "a name of two lines": (
        ("run:", 'name: "a\\u2028b"\nrun:'),
        r"<stdin>:9:1: name: expected a name without line breaks",
    ),
    "a device's name of two lines": (
        ("db: {remote", '"d\\nb": {remote'),
        r"<stdin>:3:3: devices\['d\\nb'\]: expected a name without line breaks",
    ),
    "a model for items": (
        ("[blocking, epoll", "[blocking, threads"),
        r"<stdin>:8:20: models\[1\]: expected an I/O model for a workload of requests",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_told_with_its_place(name: str) -> None:
    (right, wrong), expected = BROKEN[name]
    assert TINY.count(right) == 1
    outcome = iosim("check", "-", stdin=TINY.replace(right, wrong))
    assert outcome.code == 2
    assert outcome.out == ""
    assert re.search(f"^{expected}", outcome.err, re.MULTILINE), outcome.err
    assert "Traceback" not in outcome.err


def test_all_mistakes_are_told_at_once() -> None:
    text = TINY.replace("cores", "coers").replace("20ms", "20").replace("open", "opne")
    lines = iosim("check", "-", stdin=text).err.splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "7", "9"]


def test_what_is_right_is_told_in_short(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(TINY)
    two.write_text(PIPELINE)
    outcome = iosim("check", one, two)
    assert outcome.code == 0
    assert outcome.err == ""
    assert f"{one}: ok" in outcome.out
    assert f"{two}: ok" in outcome.out
    assert "blocking, epoll, coro" in outcome.out
    assert "rate 10k/s" in outcome.out
    assert "2 times 20ms, seed 1" in outcome.out


def test_one_bad_file_does_not_hide_another(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(TINY)
    bad.write_text(TINY.replace("cores: 2", "cores: two"))
    outcome = iosim("check", bad, tmp_path / "none.yaml", good)
    assert outcome.code == 2
    assert f"{bad}:1:" in outcome.err
    assert "none.yaml: expected a readable file, found No such file" in outcome.err
    assert f"{good}: ok" in outcome.out


def test_a_profile_is_checked_too(tmp_path: Path) -> None:
    scenario = tmp_path / "tiny.yaml"
    scenario.write_text(TINY.replace("cores: 2", "profile: mine.yaml"))
    assert "expected a profile" in iosim("check", scenario).err
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\ndescription: own\nextends: reference\ncosts: {sendt: {}}\n")
    outcome = iosim("check", scenario)
    assert outcome.code == 2
    assert "mine.yaml:4:9: costs.sendt: " in outcome.err
    assert "did you mean 'sendto'?" in outcome.err


def test_force_lifts_the_limits() -> None:
    text = TINY.replace("cores: 2", "cores: 1000")
    assert iosim("check", "-", "--force", stdin=text).code == 0


def test_classes_are_told_with_their_weights_and_steps(tmp_path: Path) -> None:
    file = tmp_path / "mixed.yaml"
    file.write_text(
        "server: {classes: {get: {weight: 9, handler: [{cpu: 20us}, {sleep: 1ms}]}, ping: {}}}\n"
        "workload: {open: {rate: 1k/s}}\nmodels: [epoll]\n"
    )
    checked = iosim("check", str(file))
    assert checked.code == 0
    assert "classes   get (weight 9, cpu 20us, sleep 1ms); ping (weight 1)" in checked.out


def test_a_trace_that_begins_after_the_run_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "late.csv").write_text("time_s,connection\n7,0\n")
    file = tmp_path / "late.yaml"
    file.write_text("workload: {trace: {file: late.csv}}\nmodels: [epoll]\nrun: {duration: 1s}\n")
    checked = iosim("check", str(file))
    assert checked.code == 0
    assert "warning: trace 'late.csv': its first request, at 7.00 s, comes after" in checked.err
