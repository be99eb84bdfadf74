"""Every exception iosim raises on purpose, and the words in which it tells a failure.

    IosimError
      ├─ ScenarioError          bad input: every problem of a file at once; exit code 2
      ├─ UsageError             a bad command line or bad API arguments; exit code 2
      ├─ PluginError            a plug-in that cannot be loaded or lacks something; exit code 2
      ├─ SimulationError        a run that cannot go on; exit code 1
      │    ├─ Deadlock          threads wait for each other's locks; names the cycle
      │    ├─ Stalled           every thread waits and nothing can wake one; names each wait
      │    ├─ Starved           a thread never leaves its core to others; names it and them
      │    ├─ Livelock          a thread loops without consuming time
      │    ├─ DescriptorLimit   a descriptor that a syscall cannot take, as select(2) above 1,023
      │    └─ WorkerDied        the process in which it was simulated has ended
      └─ MeasurementError       a run for real that this machine or a process has ended; exit code 1

    ValueError
      └─ Mismatch               one value that is not what was expected, before its place is known
           └─ QuantityError     (in units.py) text that is not the quantity expected

*Scope*: data and wording only. Whoever raises decides; whoever catches prints ``str(error)`` and
exits with ``error.exit_code``. Every exception survives pickling, because runs happen in worker
processes.

*Not done*: no place is looked up here (yaml_source.py does) and nothing is printed.

*Validated by*: tests/unit/test_yaml_source.py (problems, paths, pickling).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one place of one file. Line and column count from 1.

    Line 0 is the file as a whole.
    """

    file: str
    line: int
    column: int
    path: str
    expected: str
    found: str
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        path = f"{self.path}: " if self.path else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{where}{path}expected {self.expected}, found {self.found}{hint}"


class IosimError(Exception):
    """Anything iosim refuses or cannot finish."""

    exit_code: ClassVar[int] = 1


class MeasurementError(IosimError):
    """Tell why a run for real came to nothing."""


class ScenarioError(IosimError):
    """Tell every problem found in the input, in the order of the file."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class UsageError(IosimError):
    """Tell what is wrong with a command line or with the arguments of an API call."""

    exit_code = 2


class PluginError(IosimError):
    """A plug-in that was asked for and cannot be loaded, or lacks what its folder asks for."""

    exit_code = 2


class SimulationError(IosimError):
    """Tell why a run of one I/O model cannot go on; at_ns is None before the clock started."""

    # Pickle rebuilds an exception from its args: a subclass that takes other arguments than this
    # class puts its own there.

    def __init__(self, model: str, at_ns: int | None, reason: str = "the run cannot go on") -> None:
        super().__init__(model, at_ns, reason)
        self.model = model
        self.at_ns = at_ns
        self._reason = reason

    def __str__(self) -> str:
        when = "before the start" if self.at_ns is None else f"at {self.at_ns:,} ns"
        return f"{self.model}, {when}: {self._reason}"


class Deadlock(SimulationError):
    """Name a cycle of threads: (thread, the lock it waits for), held by the next one's thread."""

    def __init__(self, model: str, at_ns: int | None, cycle: Iterable[tuple[str, str]]) -> None:
        self.cycle = tuple(cycle)
        steps = []
        for i, (thread, lock) in enumerate(self.cycle):
            held = self.cycle[i - 1][1]
            holder = self.cycle[(i + 1) % len(self.cycle)][0]
            steps.append(f"{thread} holds {held}, waits for {lock} (held by {holder})")
        super().__init__(model, at_ns, "deadlock: " + "; ".join(steps))
        self.args = (model, at_ns, self.cycle)


class Stalled(SimulationError):
    """Name every thread and what it waits for, when nothing is left that could wake one."""

    def __init__(self, model: str, at_ns: int | None, waits: Iterable[tuple[str, str]]) -> None:
        self.waits = tuple(waits)
        each = "; ".join(f"{thread} waits for {what}" for thread, what in self.waits)
        super().__init__(model, at_ns, f"stalled, nothing can wake a thread: {each}")
        self.args = (model, at_ns, self.waits)


class Starved(SimulationError):
    """Name the threads that never leave their cores, and those that wait for a core in vain."""

    def __init__(
        self,
        model: str,
        at_ns: int | None,
        hogs: Iterable[str],
        waiting: Iterable[str],
        scheduler: str,
    ) -> None:
        self.hogs = tuple(hogs)
        self.waiting = tuple(waiting)
        named = ", ".join(self.waiting[:3]) + (", ..." if len(self.waiting) > 3 else "")
        never = f"{' and '.join(self.hogs)} never leave{'s' * (len(self.hogs) == 1)} the core"
        wait = f"{named} wait{'s' * (len(self.waiting) == 1)} for one"
        reason = f"{never} under {scheduler}, and {wait}"
        super().__init__(model, at_ns, f"the server never gets ready for the load: {reason}")
        self.args = (model, at_ns, self.hogs, self.waiting, scheduler)


class Livelock(SimulationError):
    """Name a thread that made `steps` steps in a row without consuming simulated time."""

    def __init__(self, model: str, at_ns: int | None, thread: str, steps: int) -> None:
        self.thread = thread
        self.steps = steps
        super().__init__(
            model, at_ns, f"livelock: {thread} made {steps:,} steps without consuming time"
        )
        self.args = (model, at_ns, thread, steps)


class DescriptorLimit(SimulationError):
    """Name a syscall that was given a descriptor at or above the limit it can take."""

    def __init__(
        self, model: str, at_ns: int | None, syscall: str, descriptor: int, limit: int
    ) -> None:
        self.syscall = syscall
        self.descriptor = descriptor
        self.limit = limit
        super().__init__(
            model, at_ns, f"{syscall} takes descriptors below {limit:,}, not {descriptor:,}"
        )
        self.args = (model, at_ns, syscall, descriptor, limit)


class WorkerDied(SimulationError):
    """Name a replication whose worker process ended, and `how` it did."""

    def __init__(self, model: str, replication: int, how: str) -> None:
        self.replication = replication
        super().__init__(model, None, how)
        self.args = (model, replication, how)

    def __str__(self) -> str:
        return f"{self.model}, replication {self.replication}: {self._reason}"


class Mismatch(ValueError):
    """One value that is not what was expected. Its place is added by whoever knows it."""

    def __init__(self, expected: str, found: str, hint: str | None = None) -> None:
        super().__init__(expected, found, hint)
        self.expected = expected
        self.found = found
        self.hint = hint

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"expected {self.expected}, found {self.found}{hint}"


def shown(value: object) -> str:
    """Spell a value the way its author wrote it in YAML, shortened to one line."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value if len(value) <= _SHOWN_CHARS else value[: _SHOWN_CHARS - 3] + "..."
        return repr(text)
    if isinstance(value, int | float):
        text = str(value) if not isinstance(value, int) or value.bit_length() < 200 else "a number"
        return text
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return f"a {type(value).__name__}"


def path_text(path: Iterable[str | int]) -> str:
    """Spell a path as `models[2].epoll.max_events`; a key that is no plain word is quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def did_you_mean(word: object, known: Iterable[str]) -> str | None:
    """Find the known word nearest to `word` and ask for it, or return None."""
    if not isinstance(word, str) or len(word) > _SHOWN_CHARS:
        return None
    from difflib import get_close_matches

    # Spelling differs most often by case and by '-' for '_'; compare without either.
    plain_word = word.lower().replace("-", "_")
    plain = {name.lower().replace("-", "_"): name for name in known}
    # The whole first word of a name is nearer to it than any other spelling.
    begin = [plain[name] for name in plain if re.match(rf"{re.escape(plain_word)}[ ._]", name)]
    if plain_word and begin:
        return f"did you mean {' or '.join(map(repr, begin[:3]))}?"
    near = get_close_matches(plain_word, plain, n=1, cutoff=0.6)
    return f"did you mean {plain[near[0]]!r}?" if near else None
