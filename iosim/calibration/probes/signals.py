"""Probes of signals: sending, delivering, waiting for them.

Validated by: tests/calibration/test_probes.py
"""

import os
import signal

from iosim.calibration.probes.registry import Place, Series, native, probe
from iosim.calibration.probes.timing import timed

native(__name__, "kill_self_ignored", "kill_self_ignored")
native(__name__, "kill_self_handler", "kill_self_handler|deliver+handler+sigreturn")
native(__name__, "pair_without_signal", "sp_write+read_noasync|64B")
native(__name__, "pair_with_handler", "sp_write+read_O_ASYNC_handler|64B")
native(__name__, "write_to_handler", "sigio_write_to_handler|same_thread", samples=1000)
native(__name__, "pair_with_sigwaitinfo", "sp_write+sigwaitinfo+read|64B")
native(__name__, "sigtimedwait_empty", "sigtimedwait_empty")
native(__name__, "sigprocmask_block", "sigprocmask")


@probe("kill_self_ignored")
def kill_ignored(place: Place) -> Series:
    """os.kill of oneself by a signal that is ignored: sending without delivering."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    return timed(
        place, 200, "kill(pid, number)", kill=os.kill, pid=os.getpid(), number=signal.SIGUSR1
    )


@probe("kill_self_py_handler")
def kill_handled(place: Place) -> Series:
    """The same with a handler in Python, which the interpreter runs soon after."""
    signal.signal(signal.SIGUSR1, lambda *_: None)
    return timed(
        place, 100, "kill(pid, number)", kill=os.kill, pid=os.getpid(), number=signal.SIGUSR1
    )


@probe("kill+sigtimedwait|blocked")
def kill_and_take(place: Place) -> Series:
    """A blocked signal to oneself, and sigtimedwait that takes it, of a set of two, at once."""
    blocked = {signal.SIGRTMIN, signal.SIGIO}
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    return timed(
        place, 100, "kill(pid, number); take(blocked, 0)",
        kill=os.kill, take=signal.sigtimedwait,
        pid=os.getpid(), number=signal.SIGRTMIN, blocked=blocked,
    )  # fmt: skip
