"""Points of a study: the scenario with some changes, and a hash of all that its numbers depend on.

    point(Base(scenario), 0, (("machine.cores", "4"),)).digest

A point's digest is the same exactly if its result is: it is made of the scenario with its seed, the
costs, the contents of the CSV files that the scenario names, iosim's code, and the versions of
SimPy and numpy. How the changes were written, their order and the rest of the study are not in it.

Scope: a point whose changes make no sense has no scenario; it says why, and is run nowhere.
Not done: the code of a third party's plug-ins is not in it.
Validated by: tests/studies/test_points.py
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from iosim.changes import apply
from iosim.code_digest import simulator
from iosim.errors import IosimError, ScenarioError
from iosim.profile import Profile, with_costs
from iosim.profile import load as load_profile
from iosim.scenario import Scenario, check_files, from_source
from iosim.yaml_source import Source
from iosim.yaml_source import load as load_text

COST = "profile."
"""How the path of a cost begins."""
PROFILE = "machine.profile"


@dataclass(frozen=True)
class Base:
    """What points are changed from."""

    scenario: Scenario
    profile: Profile | None = None
    """What everything costs; None: as the scenario names it."""
    force: bool = False
    """Lift the scenario's limits on size."""

    @cached_property
    def folder(self) -> Path:
        """From where the files that the scenario names are looked for, wherever it is run."""
        return self.scenario.folder.resolve()

    @cached_property
    def source(self) -> Source:
        """What was set in the scenario, as data: a default is no choice that would stand in
        the way of another kind."""
        data = self.scenario.model_dump(mode="json", exclude_unset=True)
        return load_text(json.dumps(data, ensure_ascii=False), str(self.folder / "<scenario>"))


@dataclass(frozen=True)
class Point:
    """One combination of values: what is to be simulated, or why it cannot be."""

    number: int
    """Its place in the study, from 0."""
    changes: tuple[tuple[str, str], ...]
    digest: str
    scenario: Scenario | None
    profile: Profile | None
    error: str | None = None

    @property
    def told(self) -> str:
        """The changes as a command line has them."""
        return " ".join(f"{path}={value}" for path, value in self.changes)


def point(base: Base, number: int, changes: tuple[tuple[str, str], ...]) -> Point:
    """The point of these changes, path and value each; `number` is its place in the study."""
    costs = {path.removeprefix(COST): value for path, value in changes if path.startswith(COST)}
    others = [(path, value) for path, value in changes if not path.startswith(COST)]
    try:
        scenario = from_source(apply(base.source, others), base.force)
        scenario.__dict__["folder"] = base.folder
        check_files(scenario)
        # A profile that a change names is the user's, who stands elsewhere than the scenario.
        place = Path() if PROFILE in dict(others) else base.folder
        profile = base.profile or _profile(scenario.machine.profile, str(place))
        profile = with_costs(profile, costs)
    except IosimError as error:
        why = _told(error)
        told = _digest("cannot be run", base.scenario.digest, *map("=".join, changes), why)
        return Point(number, changes, told, None, None, why)
    files = [f"{name} {sha256}" for name, sha256 in named_files(scenario).items()]
    digest = _digest(scenario.digest, profile.sha256, str(scenario.run.seed), *files)
    return Point(number, changes, digest, scenario, profile)


def _told(error: IosimError) -> str:
    """What is wrong with a point's changes, in one line: a place in a file would tell nothing."""
    if isinstance(error, ScenarioError):
        told = []
        for problem in error.problems:
            hint = f"; {problem.hint}" if problem.hint else ""
            told.append(f"{problem.path}: expected {problem.expected}, found {problem.found}{hint}")
        return "; ".join(told)
    return "; ".join(str(error).replace("--set ", "").splitlines())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join((simulator(), *parts)).encode()).hexdigest()


@lru_cache(maxsize=64)
def _profile(name: str, folder: str) -> Profile:
    return load_profile(name, folder)


def named_files(scenario: Scenario) -> dict[str, str]:
    """The files that a scenario names under `file`, each with the SHA-256 of its content."""
    found = {}
    for name in sorted(set(_files(scenario.to_data()))):
        content = (scenario.folder / name).read_bytes()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def _files(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        if isinstance(data.get("file"), str):
            yield data["file"]
        data = list(data.values())
    for part in data if isinstance(data, list) else ():
        yield from _files(part)
