"""What the kernel tells of a process's threads, and of processes that it has started."""

import os
import subprocess
import sys
import threading

from iosim.real.processes import family
from iosim.real.threads import ThreadUse, control_thread, threads_of, used_between

WAITING = """
import os, threading, time
threading.Thread(target=lambda: os.read(0, 1), daemon=True).start()
child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
threading.Event().wait()
"""


def test_threads_are_told_apart() -> None:
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        before = threads_of(os.getpid())
        assert {threading.get_native_id(), other.native_id} <= before.keys()
        sum(range(100_000))
        used = used_between(before, threads_of(os.getpid()))
        assert all(use.voluntary >= 0 and use.involuntary >= 0 for use in used)
        assert threads_of(os.getpid(), other.native_id).keys() == before.keys() - {other.native_id}
    finally:
        done.set()
        other.join()


def test_what_a_thread_has_used_meanwhile() -> None:
    then, now = ThreadUse("a", 1, 2, 100, 10), ThreadUse("a", 5, 2, 150, 10)
    new = ThreadUse("b", 1, 0, None, None)
    assert used_between({7: then}, {7: now, 8: new}) == (ThreadUse("a", 4, 0, 50, 0), new)


def test_a_process_that_is_not_there_has_none() -> None:
    assert threads_of(1 << 22) == {}
    assert control_thread(1 << 22) is None
    assert family(1 << 22) == [1 << 22]


def test_the_control_thread_and_the_children() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", WAITING], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            assert family(process.pid) == [process.pid, child]
            found = control_thread(process.pid)
            # Where another's syscalls may not be looked at, it is not known.
            assert found is None or found in threads_of(process.pid)
            assert found != process.pid
        finally:
            os.kill(child, 9)
            process.kill()
