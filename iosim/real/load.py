"""The clients' process in Python, where no C compiler is: `python -m iosim.real.load FOLDER`.

    look at the clock -> send what is due -> look at the sockets -> ...

    load          the loop, and what the parent says and is told
    clients       requests and their fate
    connections   how they are sent and answered
    connecting    how connections are opened
    devices       what the server's calls go to
    loop          what is to happen when

One thread does everything. With `spin` it never sleeps while the load runs, as waking up takes
longer than most of what is to be timed here. Between any two events it looks at the clock: what
is due does not wait for a batch. It does what native/load.c does, call for call.

Scope: it keeps up with some thousand requests a second, and tells its lateness.
Validated by: tests/real/test_load.py
"""

import gc
import os
import sys
from pathlib import Path
from time import monotonic_ns

from iosim.real.clients import Clients
from iosim.real.devices import Devices
from iosim.real.loop import NEVER_NS, Loop
from iosim.real.process import PR_SET_TIMERSLACK, give_up, prctl, say, settle_in


class Load:
    """The load of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = Loop()
        self._clients = Clients(self._loop, folder)
        self._plan = self._clients.plan
        settle_in(self._plan.client_cpus, self._plan.limit_s)
        prctl(PR_SET_TIMERSLACK, 1)
        gc.disable()  # every request is kept to the end: looking for garbage only makes late
        self._devices = Devices(self._loop, self._plan.devices)
        self._line = b""
        self._loop.watch(0, self._on_stdin)
        self._start_ns = self._end_ns = NEVER_NS

    def _on_stdin(self, _: int) -> None:
        data = os.read(0, 256)
        if not data:
            os._exit(0)
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._on_line(line.decode())

    def _on_line(self, line: str) -> None:
        match line.split():
            case ["connect", port]:
                self._clients.connect(int(port), lambda: say("ready"))
            case ["start", at_ns]:
                self._start_ns = int(at_ns)
                self._end_ns = self._start_ns + self._plan.duration_ns
                self._clients.start(self._start_ns)
            case _:
                give_up(f"what does this mean: {line}")

    def run(self) -> None:
        """Say and do everything, until stdin is closed."""
        say(f"devices {self._devices.port}")
        busy_fraction = self._go_round()
        self._clients.write(self._folder)
        words = [f"{name}={value}" for name, value in self._clients.done().items()]
        say(f"done {' '.join(words)} busy_fraction={busy_fraction:.6f}")
        # The connections stay open: the server is not to see them go before its last counters
        # have been taken.
        while True:
            self._on_stdin(0)

    def _go_round(self) -> float:
        # Until the load is over; in which part of the time there was something to do.
        loop, clients = self._loop, self._clients
        idle_ns = 0
        now_ns = monotonic_ns()
        while now_ns < self._end_ns:
            spins = self._plan.spin and self._start_ns < NEVER_NS
            done = self._run_due(now_ns) + clients.open_wanted()
            if not spins:
                asleep_ns = monotonic_ns()
                loop.sleep(min(clients.due_ns, loop.due_ns, self._end_ns))
                idle_ns += self._of_load(asleep_ns, monotonic_ns())
            done += loop.look(self._run_due_now)
            round_ns, now_ns = now_ns, monotonic_ns()
            if spins and not done:
                idle_ns += self._of_load(round_ns, now_ns)
        return 1.0 - idle_ns / (now_ns - self._start_ns)

    def _run_due(self, now_ns: int) -> int:
        return self._clients.run_due(now_ns) + self._loop.run_due(now_ns)

    def _run_due_now(self) -> None:
        self._run_due(monotonic_ns())

    def _of_load(self, from_ns: int, to_ns: int) -> int:
        # How much of the time between the two is the load's.
        return max(to_ns, self._start_ns) - max(from_ns, self._start_ns)


if __name__ == "__main__":
    Load(Path(sys.argv[1])).run()
