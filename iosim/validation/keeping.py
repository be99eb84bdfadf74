"""Sides kept in a file of JSON lines, so that a long validation goes on where it ended.

    {"key": "measured 3f2a...", "cell": "quickstart, epoll, 50%", "values": {...}, ...}

One line is one side, written as soon as it is there. The key holds all that the side depends on:
the scenario as it was asked, and of a simulated side the profile and the simulator's code, too. So
nothing is taken for something else when a scenario, a cost or the simulator has changed, and what
has not changed is not run again. A real side's key has no code: what was measured stays so.

Scope: a line that a crash has cut off is left out, and run again. Of lines with one key the last
holds. A third party's plug-ins are not in the key: `forget_simulated` is for them.
Validated by: tests/validation/test_keeping.py
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from iosim.code_digest import simulator
from iosim.errors import UsageError, shown
from iosim.profile import Profile
from iosim.scenario import Scenario
from iosim.validation.sides import Side


def measured_key(scenario: Scenario, how: Mapping[str, Any] = MappingProxyType({})) -> str:
    """What a real side depends on, the machine and its mood aside.

    What is only simulated is left out: so one measurement serves with the host's noise and without.
    how: as `iosim.measure` takes it.
    """
    machine = scenario.machine.model_copy(update={"host_noise": None, "profile": ""})
    asked = scenario.model_copy(update={"machine": machine})
    told = [f"{name}={value}" for name, value in sorted(how.items()) if value is not None]
    return " ".join(("measured", asked.digest, *told))


def simulated_key(scenario: Scenario, profile: Profile) -> str:
    """What a simulated side depends on."""
    return f"simulated {scenario.digest} {profile.sha256} {simulator()}"


class Kept:
    """The sides that are known, and the file, if there is one, that they are added to."""

    def __init__(self, path: Path | None = None, forget_simulated: bool = False) -> None:
        """Read what is there. Raises UsageError for a file that is none of these."""
        self._path = path
        self._sides: dict[str, Side] = {}
        if path is None:
            return
        if not path.parent.is_dir():
            raise UsageError(f"--results {path}: expected the folder '{path.parent}' to exist")
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except (OSError, ValueError) as error:
            raise UsageError(f"--results {path}: cannot be read: {error}") from None
        *lines, unfinished = text.split("\n")
        if unfinished:  # the next line must not continue it
            os.truncate(path, len("".join(f"{line}\n" for line in lines).encode()))
        for number, line in enumerate(lines, start=1):
            try:
                data = json.loads(line)
                self._sides[data["key"]] = Side.from_data(data)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise UsageError(
                    f"--results {path}:{number}: expected a line of `iosim validate --results`, "
                    f"found {shown(line)}"
                ) from None
        if forget_simulated:
            self._sides = {
                key: side for key, side in self._sides.items() if key.startswith("measured ")
            }

    def get(self, key: str) -> Side | None:
        """The side with this key, if it is known."""
        return self._sides.get(key)

    def put(self, key: str, cell: str, side: Side) -> Side:
        """Keep a side, in the file, too; and return it. Raises UsageError if that fails."""
        self._sides[key] = side
        if self._path is not None:
            line = json.dumps({"key": key, "cell": cell, **side.to_data()}, allow_nan=False)
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(f"{line}\n")
            except OSError as error:
                raise UsageError(
                    f"--results {self._path}: cannot be written: {error.strerror}"
                ) from None
        return side
