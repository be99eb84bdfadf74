"""Changing a scenario from outside its file: `--set workload.open.rate=20k/s`.

What it does: sets the value at a path in the data read from the file, before it is
validated, so that a change is checked like the file itself. A path's parts are keys, or
positions in a list, or in `models` an entry's label or kind:

    machine.cores=4    models.epoll.max_events=64    server.handler.0.cpu=50us

The value is YAML. Raises UsageError for a path that leads nowhere.

Validated by: tests/unit/test_changes.py
"""

import copy
from collections.abc import Mapping
from typing import Any

from iosim.errors import ScenarioError, UsageError, did_you_mean, shown
from iosim.yaml_source import Source, load


def apply(source: Source, changes: Mapping[str, str]) -> Source:
    """`source` with the values at some paths replaced. Raises UsageError."""
    data = copy.deepcopy(source.data)
    for path, text in changes.items():
        _set(data, path, _value(path, text))
    return source.with_data(data)


def parse_assignment(text: str) -> tuple[str, str]:
    """Split `path=value`. Raises UsageError."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise UsageError(f"--set {text}: expected path=value, such as workload.open.rate=20k/s")
    return path.strip(), value.strip()


def _value(path: str, text: str) -> Any:
    try:
        data = load(f"value: {text}", f"--set {path}").data
        if len(data) > 1:
            raise UsageError(f"--set {path}: expected one value, found {shown(text)}")
        return data["value"]
    except ScenarioError as error:
        raise UsageError(str(error)) from None


def _set(data: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    at = data
    for depth, part in enumerate(parents):
        at = _step(at, part, ".".join(parents[:depth]), path)
    if isinstance(at, list):
        at[_position(at, last, ".".join(parents), path)] = value
    elif isinstance(at, dict):
        at[last] = value
    else:
        raise UsageError(f"--set {path}: {'.'.join(parents)} is {shown(at)}, which has no keys")


def _step(at: Any, part: str, so_far: str, path: str) -> Any:
    """The container at `part` of `at`; made where YAML lets it be left out."""
    if isinstance(at, list):
        position = _position(at, part, so_far, path)
        item = at[position]
        if so_far == "models":  # a name alone, or one key: its options are what is meant
            if isinstance(item, str):
                item = at[position] = {item: {}}
            if not (isinstance(item, dict) and len(item) == 1):
                raise UsageError(
                    f"--set {path}: models[{position}] is {shown(item)}, not a model's name with "
                    "its options"
                )
            (kind,) = item
            if item[kind] is None:
                item[kind] = {}
            return item[kind]
        return item
    if not isinstance(at, dict):
        raise UsageError(f"--set {path}: {so_far} is {shown(at)}, which has no key '{part}'")
    if isinstance(at.get(part), str) and at[part].isidentifier():
        # `network: loopback` is short for `network: {loopback: {}}`.
        at[part] = {at[part]: {}}
    if at.get(part) is None:
        at[part] = {}
    return at[part]


def _position(items: list[Any], part: str, so_far: str, path: str) -> int:
    if part.isascii() and part.isdigit() and int(part) < len(items):
        return int(part)
    names = [_names(item) for item in items]
    # What results call an entry goes first: its label, or its kind where it has none.
    for most in (1, 2):
        for position, own in enumerate(names):
            if part in own[:most]:
                return position
    known = [name for own in names for name in own]
    hint = did_you_mean(part, known)
    among = ", ".join(known) or (f"0 to {len(items) - 1}" if items else "it has none")
    raise UsageError(
        f"--set {path}: expected an entry of '{so_far}' ({among}), found {shown(part)}"
        + (f"; {hint}" if hint else "")
    )


def _names(item: Any) -> list[str]:
    """What an entry of a list may be called: its label first, then its kind."""
    if isinstance(item, str):
        return [item]
    if isinstance(item, dict) and len(item) == 1:
        ((kind, options),) = item.items()
        label = options.get("label") if isinstance(options, dict) else None
        return [label, kind] if isinstance(label, str) else [kind]
    return []
