"""The files that a scenario names, and what is in them.

    digests(scenario)  ->  {"arrivals.csv": "9f86d0..."}

What it does: finds every option called `file`, of a workload, a device or a distribution, of
iosim's own or a plug-in's; its path counts from the scenario's folder.

Scope: SHA-256 of each file's bytes. The profile is none of them: its costs are in the result.
Validated by: tests/studies/test_rerun.py
"""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iosim.scenario import Scenario


def digests(scenario: "Scenario") -> dict[str, str]:
    """The SHA-256 of each file, by its path as the scenario has it; of no such file, ''."""
    return {name: _digest_of(scenario, name) for name in sorted(set(_files(scenario.to_data())))}


def _files(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for key, value in data.items():
            if key == "file" and isinstance(value, str):
                yield value
            else:
                yield from _files(value)
    elif isinstance(data, list):
        for value in data:
            yield from _files(value)


def _digest_of(scenario: "Scenario", name: str) -> str:
    digest = hashlib.sha256()
    try:
        with (scenario.folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()
