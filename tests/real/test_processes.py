"""The children of a measurement keep to their cores and end with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from iosim.errors import MeasurementError, UsageError
from iosim.measure import Process, place

PYTHON = [sys.executable, "-c"]


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_line_is_what_follows_its_word() -> None:
    with Process("child", [*PYTHON, "print('ready 12 a', flush=True); input()"]) as child:
        assert child.expect("ready") == "12 a"
        pid = child.pid
    assert gone(pid)


def test_what_went_wrong_is_told() -> None:
    with (
        Process("child", [*PYTHON, "print('error no such thing', flush=True)"]) as child,
        pytest.raises(MeasurementError, match="^no such thing$"),
    ):
        child.expect("ready")


def test_a_child_that_dies_is_told_with_its_last_words() -> None:
    with (
        Process("child", [*PYTHON, "raise SystemExit('oh dear')"]) as child,
        pytest.raises(MeasurementError, match="child ended: oh dear"),
    ):
        child.expect("ready")


def test_a_child_that_is_killed_is_told() -> None:
    with Process("child", [*PYTHON, "input()"]) as child:
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(MeasurementError, match="child ended: by SIGKILL"):
            child.expect("ready")


def test_a_child_that_does_not_listen_is_killed() -> None:
    program = "import time; print('up', flush=True); time.sleep(100)"
    with Process("child", [*PYTHON, program]) as child:
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


def test_cores_are_shared_out() -> None:
    here = sorted(os.sched_getaffinity(0))
    if len(here) > 1:
        found = place(1)
        assert (found.server, found.clients) == ((here[0],), (here[1],))
        assert place(1, clients=[here[0]]).server == (here[1],)
        with pytest.raises(UsageError, match="one for the clients"):
            place(1, server=[here[0]], clients=[here[0]])
    with pytest.raises(UsageError, match=f"machine.cores={max(1, len(here) - 1)}"):
        place(len(here))
    with pytest.raises(UsageError, match="server cores"):
        place(1, server=[999])
