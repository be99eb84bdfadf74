"""The children of a measurement keep to their cores and end with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from iosim.errors import MeasurementError
from iosim.real.child import Child, Ended

PYTHON = [sys.executable, "-c"]


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_line_is_what_follows_its_word() -> None:
    with Child("child", [*PYTHON, "print('ready 12 a', flush=True); input()"]) as child:
        assert child.expect("ready") == "12 a"
        pid = child.pid
    assert gone(pid)


def test_what_went_wrong_is_told() -> None:
    with (
        Child("child", [*PYTHON, "print('error no such thing', flush=True)"]) as child,
        pytest.raises(MeasurementError, match="^no such thing$"),
    ):
        child.expect("ready")


def test_a_child_that_dies_is_told_with_its_last_words() -> None:
    with (
        Child("child", [*PYTHON, "raise SystemExit('oh dear')"]) as child,
        pytest.raises(MeasurementError, match="child ended: oh dear"),
    ):
        child.expect("ready")


def test_a_child_that_is_killed_is_told() -> None:
    with Child("child", [*PYTHON, "input()"]) as child:
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(MeasurementError, match="child ended: by SIGKILL"):
            child.expect("ready")


def test_a_child_that_has_ended_says_why_when_another_has_suffered_from_it() -> None:
    refuses = "print('listening', flush=True); print('error needs the package x', flush=True)"
    with Child("server", [*PYTHON, refuses]) as server:
        server.expect("listening")
        with pytest.raises(MeasurementError, match="^needs the package x$"):
            server.raise_if_ended()
    with Child("server", [*PYTHON, "print('up', flush=True); input()"]) as server:
        server.expect("up")
        server.raise_if_ended()


def test_a_child_that_does_not_listen_is_killed() -> None:
    program = "import time; print('up', flush=True); time.sleep(100)"
    with Child("child", [*PYTHON, program]) as child:
        child.expect("up")
        pid = child.pid
    assert gone(pid)


def test_children_end_with_their_parent(tmp_path: Path) -> None:
    """Settled in, a process gets a SIGKILL when its parent dies."""
    program = (
        "from iosim.real.process import settle_in; import os, time; settle_in([0], 50);"
        "print(os.getpid(), flush=True); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys;"
        f"child = subprocess.Popen([sys.executable, '-c', {program!r}], stdout=subprocess.PIPE);"
        "print(child.stdout.readline().decode(), end='', flush=True); input()"
    )
    with subprocess.Popen(
        [*PYTHON, parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
        for _ in range(1000):
            if gone(pid) or "Z (zombie)" in Path(f"/proc/{pid}/status").read_text():
                break
            os.sched_yield()
            subprocess.run(["sleep", "0.01"], check=True)
        else:
            raise AssertionError("the child lives on")


def test_lines_may_come_in_any_order_and_at_once() -> None:
    program = "import sys; sys.stdout.write('done 1\\nmark a=2\\n'); sys.stdout.flush(); input()"
    with Child("child", [*PYTHON, program]) as child:
        assert child.expect("mark") == "a=2"
        assert child.expect("done") == "1"


def test_a_deadlock_is_told_even_where_something_else_is_awaited() -> None:
    program = "print('deadlock a waits for b', flush=True); raise SystemExit(3)"
    with Child("child", [*PYTHON, program]) as child, pytest.raises(Ended) as caught:
        child.expect("mark")
    assert str(caught.value) == "deadlock: a waits for b"


def test_a_child_that_says_nothing_is_told_after_a_while() -> None:
    with (
        Child("child", [*PYTHON, "print('other 1', flush=True); input()"]) as child,
        pytest.raises(MeasurementError, match="did not say 'ready' in 0.5 s"),
    ):
        child.expect("ready", 0.5)


def test_where_something_has_failed_nobody_waits_for_a_farewell() -> None:
    program = "import time; print('up', flush=True); time.sleep(100)"
    with pytest.raises(KeyboardInterrupt), Child("child", [*PYTHON, program]) as child:
        child.expect("up")
        pid = child.pid
        raise KeyboardInterrupt
    assert gone(pid)
