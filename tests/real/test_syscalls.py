"""What perf and strace have written is read as it is meant; and where they do not count."""

import subprocess
import sys
import time

import pytest

from iosim.real import syscalls
from iosim.real.syscalls import NothingCounted, Unavailable, counter, read_perf, read_strace

PERF = """\
# started on Mon Nov 23 13:04:51 2026

2089,,syscalls:sys_enter_recvfrom,426485179,100.00,,
15,,syscalls:sys_enter_ppoll,426485179,100.00,,
5,,syscalls:sys_enter_poll,426485179,100.00,,
<not counted>,,syscalls:sys_enter_accept4,0,100.00,,
0,,syscalls:sys_enter_bind,426485179,100.00,,
300,,syscalls:sys_enter_clock_nanosleep,426485179,100.00,,
2412,,raw_syscalls:sys_enter,426485179,100.00,,
"""

STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 62.00    0.011956          23       512           clock_nanosleep
 30.00    0.005000           2      2500        40 recvfrom
  8.00    0.001000           1         7         7 pselect6
------ ----------- ----------- --------- --------- ----------------
100.00    0.017956          23      3019        47 total
"""

CALLER = """
import os, threading, time
def call():
    while True:
        os.getppid(); time.sleep(0.001)
threading.Thread(target=call, daemon=True).start()
print("up", flush=True)
call()
"""


def test_perf() -> None:
    assert read_perf(PERF) == {"nanosleep": 300, "other": 3, "poll": 20, "recvfrom": 2089}


def test_perf_whose_counters_differ_by_a_call() -> None:
    assert "other" not in read_perf(PERF.replace("2412,", "2400,"))


def test_strace() -> None:
    assert read_strace(STRACE) == {"nanosleep": 512, "recvfrom": 2500, "select": 7}
    assert read_strace("") == {}


def test_every_name_counted_is_one_name() -> None:
    assert len(set(syscalls.COUNTED)) == len(syscalls.COUNTED)


def counted(until_s: float = 0.3) -> syscalls.Counted:
    with subprocess.Popen([sys.executable, "-c", CALLER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            with counter(process.pid) as watch:
                return watch(time.monotonic_ns() + round(until_s * 1e9))
        finally:
            process.kill()


def test_a_program_s_calls_in_all_threads() -> None:
    try:
        found = counted()
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert found.begin_ns < found.end_ns
    assert found.calls["nanosleep"] > 0


def test_strace_counts_where_perf_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Unavailable("perf is not allowed")

    monkeypatch.setattr(syscalls, "known_to_perf", refuse)
    try:
        found = counted(2)
    except Unavailable as reason:
        assert str(reason).startswith("perf is not allowed; ")
        pytest.skip(str(reason))
    assert found.by == "strace"
    assert found.calls["nanosleep"] > 0
    assert found.calls.keys() & {"getppid"}


def test_without_either_it_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    syscalls.known_to_perf.cache_clear()
    with pytest.raises(Unavailable, match="^perf is not installed; strace is not installed$"):
        counted()


def test_too_many_threads_are_left_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "_threads", lambda pid: 1_000_000)
    with pytest.raises(Unavailable, match="1,000,000 threads are too many|not installed"):
        counted()


def test_that_perf_has_counted_nothing_is_said_and_is_no_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(syscalls, "read_perf", lambda text: {})
    try:
        found = counted()
    except NothingCounted as reason:
        assert str(reason) == "perf: it counted nothing"
    except Unavailable as reason:
        pytest.skip(str(reason))
    else:
        assert found.by == "strace"  # where perf may not
