"""The command as a process: terminals, pipes, interruption, and how fast it starts."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from commandline import TINY, start

ANSI = "\x1b["


def read_until_closed(descriptor: int, until: str | None = None, limit_s: float = 30) -> str:
    """What a terminal shows, up to its end or to a pattern."""
    text = b""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            read = os.read(descriptor, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not read:
            break
        text += read
        if until is not None and re.search(until, text.decode(errors="replace")):
            break
    return text.decode(errors="replace")


def on_a_terminal(tiny: Path, **env: str) -> tuple[str, str]:
    """(stdout, stderr) of a run whose stdout and stderr are terminals of their own."""
    (out, its_out), (err, its_err) = pty.openpty(), pty.openpty()
    process = start(
        "run",
        tiny,
        *("--jobs", 1, "--replications", 8),
        stdout=its_out,
        stderr=its_err,
        env={"TERM": "xterm-256color", "COLUMNS": "80", "NO_COLOR": "", **env},
    )
    os.close(its_out)
    os.close(its_err)
    shown = read_until_closed(out), read_until_closed(err)
    assert process.wait() == 0
    os.close(out)
    os.close(err)
    return shown


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def test_a_terminal_has_colour_and_a_bar(tiny: Path) -> None:
    out, err = on_a_terminal(tiny)
    assert ANSI in out
    assert "simulating" in err
    assert "24/24" in err
    assert "simulating" not in out


def test_no_color_is_honoured(tiny: Path) -> None:
    out, _ = on_a_terminal(tiny, NO_COLOR="1")
    assert "Where the cores' time goes" in out
    assert ANSI not in out


def test_a_pipe_has_neither(tiny: Path) -> None:
    pipe = subprocess.PIPE
    process = start("run", tiny, "--jobs", 1, stdout=pipe, stderr=pipe)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"\x1b" not in out
    assert b"simulating" not in err


def test_a_reader_that_leaves_early_is_no_error(tiny: Path) -> None:
    ours, its = os.pipe()
    process = start("run", tiny, "--jobs", 1, "--json", stdout=its, stderr=subprocess.PIPE)
    os.close(its)
    os.close(ours)  # long before anything is printed
    _, err = process.communicate(timeout=30)
    assert err == b""
    assert process.returncode == 0


def test_a_reader_that_leaves_early_changes_no_exit_code(tiny: Path) -> None:
    ours, its = os.pipe()
    with tiny.open("a") as file:
        file.write("slo: [mean < 1us]\n")
    process = start("run", tiny, "--jobs", 1, stdout=its, stderr=subprocess.DEVNULL)
    os.close(its)
    os.close(ours)
    assert process.wait(timeout=30) == 3


@pytest.mark.parametrize("arguments", [("list", "models"), ("--version",), ("run", "-")])
@pytest.mark.parametrize(("to", "why"), [("/dev/full", "No space left"), ("&-", "it is closed")])
def test_output_that_cannot_be_written_is_told(
    arguments: tuple[str, ...], to: str, why: str, tiny: Path
) -> None:
    command = f"exec {sys.executable} -m iosim {' '.join(arguments)} >{to} <{tiny}"
    done = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "standard output: cannot be written: " + why in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_a_terminal_of_ascii_gets_what_it_can_show(tiny: Path) -> None:
    text = tiny.read_text().replace("label: coro", "label: körö")
    tiny.write_text(text, encoding="utf-8")
    how: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": {"PYTHONIOENCODING": "ascii"},
    }
    out, err = start("run", tiny, "--jobs", 1, **how).communicate(timeout=30)
    assert b"Traceback" not in err
    assert "k?r?" in out.decode("ascii")
    out, _ = start("run", tiny, "--jobs", 1, "--json", **how).communicate(timeout=30)
    assert json.loads(out)["models"][2]["label"] == "körö"


def test_a_file_name_that_is_no_text_names_its_scenario_all_the_same(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/b\xff.yaml"
    Path(os.fsdecode(path)).write_text(TINY)
    for name in ("json", "csv", "md"):
        export = tmp_path / f"x.{name}"
        process = start(
            *("run", os.fsdecode(path), "--jobs", 1, "--export", export),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.communicate(timeout=30)[1] == b""
        assert export.is_file()
    assert json.loads((tmp_path / "x.json").read_text())["scenario"]["name"] == "b\ufffd"
    assert len(list(tmp_path.iterdir())) == 4


def test_interrupted_it_shows_what_has_finished(tiny: Path, tmp_path: Path) -> None:
    terminal, its = pty.openpty()
    export, printed = tmp_path / "results.json", tmp_path / "printed.json"
    with printed.open("wb") as stdout:
        process = start(
            *("run", tiny, "--jobs", 1, "--replications", 10_000, "--export", export, "--json"),
            stdout=stdout,
            stderr=its,
            env={"TERM": "xterm-256color"},
        )
    os.close(its)
    # Three models: after six runs each has finished twice.
    assert read_until_closed(terminal, until=r"([6-9]|\d\d+)/30000").strip()
    process.send_signal(signal.SIGINT)
    read_until_closed(terminal)
    os.close(terminal)
    assert process.wait(timeout=30) == 130
    document = json.loads(printed.read_text())
    assert document["interrupted"] is True
    finished = [model["replications"] for model in document["models"]]
    assert all(2 <= count < 10_000 for count in finished)
    assert document["models"][0]["metrics"]["throughput_per_s"]["mean"] > 0
    assert json.loads(export.read_text()) == document


@pytest.mark.parametrize("whom", ["the command", "all its processes"])
@pytest.mark.parametrize(("end", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=str)
def test_ended_with_workers_it_is_quiet_and_leaves_none(
    tiny: Path, tmp_path: Path, end: signal.Signals, code: int, whom: str
) -> None:
    terminal, its = pty.openpty()
    with (tmp_path / "printed.json").open("wb") as stdout:
        process = start(
            *("run", tiny, "--jobs", 2, "--replications", 10_000, "--json"),
            stdout=stdout,
            stderr=its,
            env={"TERM": "xterm-256color", "NO_COLOR": "1"},
            start_new_session=True,
        )
    os.close(its)
    shown = read_until_closed(terminal, until=r"([6-9]|\d\d+)/30000")
    if whom == "the command":
        process.send_signal(end)
    else:
        os.killpg(process.pid, end)
    shown += read_until_closed(terminal)
    assert process.wait(timeout=30) == code
    os.close(terminal)
    # Killed with their parent, workers are lost to runs that were under way, and nothing more.
    assert "Traceback" not in shown and "resource_tracker" not in shown
    assert json.loads((tmp_path / "printed.json").read_text())["interrupted"] is True
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_interrupted_while_it_starts_it_is_quiet() -> None:
    program = (
        "import builtins, sys\n"
        "real = builtins.__import__\n"
        "def interrupted(name, *args, **kwargs):\n"
        "    if name == 'typer':\n"
        "        raise KeyboardInterrupt\n"
        "    return real(name, *args, **kwargs)\n"
        "builtins.__import__ = interrupted\n"
        "from iosim.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, b"")


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("--version",), ("init",)])
def test_help_needs_none_of_the_slow_libraries(arguments: tuple[str, ...]) -> None:
    slow = {"numpy", "scipy", "pandas", "simpy", "yaml", "rich"}
    assert not slow & modules_of(*arguments)


def test_check_needs_none_of_the_slowest_libraries(tiny: Path) -> None:
    loaded = modules_of("check", str(tiny))
    assert "iosim.scenario" in loaded
    slow = {"numpy", "scipy", "pandas", "rich", "multiprocessing", "concurrent.futures"}
    assert not slow & loaded


def modules_of(*arguments: str) -> set[str]:
    """The modules that a command has imported when it is done."""
    program = (
        "import sys\n"
        "from iosim.cli import main\n"
        f"sys.argv = {['iosim', *arguments]!r}\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())
