"""Worker processes: each takes a task, works it out, gives the outcome back, takes the next.

    parent                                   worker
      start: a new interpreter  ------------>  import iosim
      (paths), (work, its arguments)  ------>  held for all tasks
      task  -------------------------------->  work(*arguments, task)
      <------------------------------- (outcome, None) or (None, what it raised)

Task and outcome travel over one socket, the worker's standard input. Nothing else is shared,
so a worker that dies takes only its own task with it, and is replaced. A worker does not import
the parent's main module: a script needs no `if __name__ == "__main__"` for this.

When the parent ends, however it ends, the socket hangs up and the worker ends, too. Ctrl-C is
the parent's to handle: workers have SIGINT blocked from their first instruction on.

Scope: POSIX. Not done: nothing is retried; tasks that wait for each other.
Validated by: tests/unit/test_workers.py
"""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

_PROGRAM = (
    "from multiprocessing.connection import Connection; import sys; parent = Connection(0); "
    "sys.path[:] = parent.recv(); from iosim.workers import serve; serve(parent)"
)


def usable_cores() -> int:
    """How many cores this process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Died:
    """Stands for the outcome of a task whose worker ended before it did."""

    returncode: int
    """As subprocess has it: less than 0 for a signal."""

    def __str__(self) -> str:
        if self.returncode >= 0:
            return f"its worker process ended with exit code {self.returncode}"
        number = -self.returncode
        known = number in signal.valid_signals()
        name = signal.Signals(number).name if known else f"signal {number}"
        likely = "most likely memory ran out, and fewer jobs at once need less"
        return f"its worker process was ended by {name}" + (
            f" ({likely})" if number == signal.SIGKILL else ""
        )


class Workers(Generic[Task, Outcome]):
    """Up to `most` processes that do `work(*arguments, task)`, started when there are tasks.

    `work` is a function of a module that can be imported by name.
    """

    def __init__(self, most: int, work: Callable[..., Outcome], arguments: tuple[Any, ...]) -> None:
        self._most = most
        self._work = (work, arguments)
        self._all: dict[Connection[Any, Any], subprocess.Popen[bytes]] = {}

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome | Died]]:
        """Each task with its outcome, in any order. Raises what `work` raised.

        Tasks are taken one by one, as workers have room for them.
        """
        waiting = iter(tasks)
        idle = list(self._all)
        under_way: dict[Any, Task] = {}
        ready: Any
        while True:
            for task in islice(waiting, self._most - len(under_way)):
                connection = idle.pop() if idle else self._start()
                under_way[connection] = task
                _send(connection, task)
            if not under_way:
                return
            for ready in wait(list(under_way)):
                task = under_way.pop(ready)
                try:
                    outcome, raised = ready.recv()
                except (EOFError, OSError):
                    yield task, Died(self._end(ready))
                    continue
                if raised is not None:
                    raise raised
                idle.append(ready)
                yield task, outcome

    def close(self) -> None:
        """End the workers at once; what they have not finished is dropped."""
        for process in self._all.values():
            process.kill()
        for connection in list(self._all):
            self._end(connection)

    def _start(self) -> "Connection[Any, Any]":
        ours, its = socket.socketpair()
        with ours, its:
            connection: Connection[Any, Any] = Connection(ours.detach())
            # Inherited, so that a Ctrl-C while a worker still starts is not for it, either.
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _PROGRAM], stdin=its.fileno()
                )
                self._all[connection] = process
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        _send(connection, sys.path)
        _send(connection, self._work)
        return connection

    def _end(self, connection: Any) -> int:
        """Forget a worker that has ended or is about to; return how it ended."""
        process = self._all.pop(connection)
        connection.close()
        return process.wait()


def _send(connection: Any, what: object) -> None:
    with suppress(OSError):  # it is dead then, which receiving from it will tell
        connection.send(what)


def serve(parent: Any) -> None:
    """Be a worker: do tasks until the parent hangs up."""
    threading.Thread(target=_end_with_parent, args=(parent.fileno(),), daemon=True).start()
    try:
        work, arguments = parent.recv()
        while True:
            parent.send(_attempt(work, arguments, parent.recv()))
    except (EOFError, OSError):
        os._exit(0)


def _attempt(work: Callable[..., Any], arguments: tuple[Any, ...], task: Any) -> tuple[Any, Any]:
    try:
        return work(*arguments, task), None
    except Exception as error:
        error.add_note("In a worker process:\n" + traceback.format_exc())
        return None, error


def _end_with_parent(descriptor: int) -> None:
    """Wait for the parent to hang up, in whatever way it ended, and end at once."""
    hung_up = select.poll()
    hung_up.register(descriptor, 0)  # POLLHUP is reported without being asked for
    hung_up.poll()
    os._exit(1)
