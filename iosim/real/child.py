"""A child process that is talked to in lines, and that is gone when the block is left.

Validated by: tests/real/test_child.py
"""

import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from iosim.errors import MeasurementError

SETUP_S: Final = 30
"""Starting, connecting and ending may each take so long."""
FAREWELL_S: Final = 2
"""From its stdin being closed to its being killed."""
READ_BYTES: Final = 1 << 16


class Ended(MeasurementError):
    """It has ended, and has said why: `word` is `error` or `deadlock`."""

    def __init__(self, word: str, text: str) -> None:
        super().__init__(word, text)
        self.word = word
        self.text = text

    def __str__(self) -> str:
        return self.text if self.word == "error" else f"{self.word}: {self.text}"


class Child:
    """One of the two processes of a run."""

    def __init__(self, name: str, command: Sequence[str], *arguments: object) -> None:
        self._name = name
        self._lines: deque[str] = deque()
        self._unfinished = b""
        self._process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        assert process.stderr is not None
        try:
            with suppress(OSError):
                process.stdin.close()
            if kind is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=FAREWELL_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def tell(self, line: str) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # its last words are read next
            self._process.stdin.write(f"{line}\n".encode())

    def expect(self, word: str, limit_s: float = SETUP_S) -> str:
        """Its next line that begins with `word`, without it. Raises MeasurementError."""
        deadline_s = time.monotonic() + limit_s
        while True:
            for line in self._lines:
                found, _, rest = line.partition(" ")
                if found in ("error", "deadlock"):
                    raise Ended(found, rest)
                if found == word:
                    self._lines.remove(line)
                    return rest
            self._read(word, limit_s, deadline_s)

    def raise_if_ended(self) -> None:
        """Raise MeasurementError with its last words if it has ended, or is about to."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=FAREWELL_S)
            self.expect("nothing more")

    def _read(self, word: str, limit_s: float, deadline_s: float) -> None:
        """Take the lines that have come, at least some bytes."""
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], max(0, deadline_s - time.monotonic()))[0]:
            said = f"; it said {self._lines[0]!r}" if self._lines else ""
            raise MeasurementError(f"the {self._name} did not say {word!r} in {limit_s:g} s{said}")
        data = os.read(stdout.fileno(), READ_BYTES)
        if not data:
            raise MeasurementError(f"the {self._name} ended: {self._last_words()}")
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        self._lines += [line.decode(errors="replace") for line in lines]

    def _last_words(self) -> str:
        process = self._process
        assert process.stderr is not None
        try:
            code = process.wait(timeout=FAREWELL_S)
        except subprocess.TimeoutExpired:
            return "it has closed its output"
        written = process.stderr.read().decode(errors="replace").strip().splitlines()
        return written[-1] if written else how_ended(code)


def _environment() -> dict[str, str]:
    """Ours, in which Python finds this very iosim wherever it is started."""
    here = str(Path(__file__).parents[2])
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([here, *([others] if others else [])])}


def how_ended(code: int) -> str:
    """What an exit code says."""
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
