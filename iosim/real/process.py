"""What the server's and the clients' processes have in common: cores, limits, an end.

Validated by: tests/real/test_child.py
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_TIMERSLACK = 29


def settle_in(cpus: Sequence[int], limit_s: int) -> None:
    """Run on `cpus`, with as many descriptors as allowed; end with the parent, or when late."""
    os.sched_setaffinity(0, set(cpus) & os.sched_getaffinity(0) or set(cpus))
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who then ends us
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(limit_s)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def prctl(option: int, value: int) -> None:
    """prctl(2)."""
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def say(line: str) -> None:
    """A line for the parent."""
    os.write(1, f"{line}\n".encode())


def give_up(text: str) -> NoReturn:
    """Say why this process cannot do what it is asked, and end."""
    say(f"error {' '.join(text.split())}")
    sys.stdout.flush()
    os._exit(2)
