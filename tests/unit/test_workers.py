"""Worker processes: tasks come back, deaths are told, and nobody outlives the parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from iosim.workers import Died, Workers

ROOT = Path(__file__).parents[2]


def ended(pid: int) -> bool:
    """Whether a process is gone, or about to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition: Callable[[], bool], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class TestTasks:
    def test_each_comes_back_with_its_outcome(self) -> None:
        workers: Workers[int, float] = Workers(2, pow, (2,))
        with closing(workers):
            assert dict(workers.run(range(5))) == {0: 1, 1: 2, 2: 4, 3: 8, 4: 16}
            assert dict(workers.run([5])) == {5: 32}

    def test_a_larger_batch_gets_more_workers_than_the_first_and_no_more_than_allowed(self) -> None:
        workers: Workers[int, float] = Workers(3, pow, (2,))
        with closing(workers):
            dict(workers.run([1]))
            assert len(workers._all) == 1
            dict(workers.run(range(9)))
            assert len(workers._all) == 3

    def test_what_is_raised_is_raised_here_with_its_traceback(self) -> None:
        workers: Workers[int, float] = Workers(1, divmod, (1,))
        with closing(workers), pytest.raises(ZeroDivisionError) as caught:
            list(workers.run([0]))
        (note,) = caught.value.__notes__
        assert note.startswith("In a worker process:\nTraceback")

    def test_they_are_taken_as_there_is_room_for_them(self) -> None:
        taken = []

        def tasks() -> Iterator[int]:
            for number in range(20):
                taken.append(number)
                yield number

        workers: Workers[int, int] = Workers(1, abs, ())
        with closing(workers):
            for finished, _ in enumerate(workers.run(tasks())):
                assert len(taken) == finished + 1


class TestDeaths:
    def test_only_its_own_task_is_lost(self) -> None:
        workers: Workers[int, None] = Workers(1, os._exit, ())
        with closing(workers):
            assert list(workers.run([3, 4])) == [(3, Died(3)), (4, Died(4))]
        assert str(Died(3)) == "its worker process ended with exit code 3"

    def test_a_signal_is_named_with_its_likely_cause(self) -> None:
        workers: Workers[int, None] = Workers(1, signal.raise_signal, ())
        with closing(workers):
            outcomes = dict(workers.run([signal.SIGKILL, signal.SIGSEGV]))
        assert "SIGKILL (most likely memory ran out" in str(outcomes[signal.SIGKILL])
        assert str(outcomes[signal.SIGSEGV]).endswith("ended by SIGSEGV")

    def test_closing_ends_the_busy(self) -> None:
        workers: Workers[int, None] = Workers(2, time.sleep, ())
        with closing(workers):
            runs = workers.run([0, 1000])
            next(runs)
            pids = [process.pid for process in workers._all.values()]
        assert len(pids) == 2
        assert all(map(ended, pids))


class TestParents:
    @pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
    def test_nobody_outlives_the_parent(self, end: signal.Signals) -> None:
        program = (
            "import time\n"
            "from iosim.workers import Workers\n"
            "workers = Workers(2, time.sleep, ())\n"
            "runs = workers.run([0, 1000])\n"
            "next(runs)\n"
            "print(*[process.pid for process in workers._all.values()], flush=True)\n"
            "next(runs)\n"
        )
        parent = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2  # one idle, one busy
        parent.send_signal(end)
        _, err = parent.communicate()
        wait_until(lambda: all(map(ended, pids)))
        assert err == b""

    def test_ctrl_c_is_the_parents_alone_from_the_start(self) -> None:
        program = (
            "import os, signal\n"
            "from iosim.workers import Workers\n"
            "workers = Workers(2, abs, ())\n"
            "workers._start()\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "os.killpg(0, signal.SIGINT)\n"
            "print(sorted(workers.run([-1, -2, -3])))\n"
            "workers.close()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
            check=True,
        )
        assert done.stderr == ""
        assert done.stdout == "[(-3, 3), (-2, 2), (-1, 1)]\n"

    def test_a_script_needs_no_guard_around_its_main_part(self, tmp_path: Path) -> None:
        script = tmp_path / "script.py"
        script.write_text(
            "from iosim.workers import Workers\n"
            "workers = Workers(2, abs, ())\n"
            "print(sorted(workers.run([-1, -2])))\n"
            "workers.close()\n"
        )
        done = subprocess.run(
            [sys.executable, script],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        assert done.stdout == "[(-2, 2), (-1, 1)]\n"
        assert done.stderr == ""
