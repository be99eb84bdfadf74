"""Changing a scenario from outside its file: `--set workload.open.rate=20k/s`.

What it does: sets the value at a path in the data read from the file, before it is
validated, so that a change is checked like the file itself. A path's parts are keys, or
positions in a list, or in `models` an entry's label or kind:

    machine.cores=4    models.epoll.max_events=64    server.handler.0.cpu=50us

A path as `iosim check` prints it says the same: server.handler[0].cpu and
models[1].epoll.max_events. The value is YAML. Changes are made in their order. Raises
UsageError for a path that leads nowhere.

Validated by: tests/unit/test_changes.py
"""

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from iosim.errors import ScenarioError, UsageError, did_you_mean, shown
from iosim.yaml_source import Source, load


def apply(source: Source, changes: Mapping[str, str] | Iterable[tuple[str, str]]) -> Source:
    """`source` with the values at some paths replaced. Raises UsageError."""
    data = copy.deepcopy(source.data)
    for path, text in changes.items() if isinstance(changes, Mapping) else changes:
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
    *parents, last = _without_kinds(data, _parts(path))
    at = data
    for depth, part in enumerate(parents):
        at = _step(at, part, ".".join(parents[:depth]), path)
    if isinstance(at, list):
        at[_position(at, last, ".".join(parents), path)] = value
    elif isinstance(at, dict):
        at[last] = value
    else:
        raise UsageError(f"--set {path}: {'.'.join(parents)} is {shown(at)}, which has no keys")


_BRACKETS = re.compile(r"(\[[0-9]+\]|\['[^']*'\])")


def _parts(path: str) -> list[str]:
    """A path's keys and positions; brackets as `check` prints them are as good as dots."""
    parts: list[str] = []
    for piece in _BRACKETS.split(path):
        if _BRACKETS.fullmatch(piece):
            parts.append(piece[1:-1].strip("'"))
        elif piece:
            parts += (piece.removeprefix(".") if parts else piece).split(".")
    return parts or [path]


def _without_kinds(data: Any, parts: list[str]) -> list[str]:
    """The parts, less a model's kind behind its entry, under which its options are meant anyway."""
    models = data.get("models") if isinstance(data, dict) else None
    if parts[:1] == ["models"] and len(parts) > 3 and isinstance(models, list):
        names = [_names(item) for item in models]
        entry, kind = parts[1:3]
        if any(own and own[-1] == kind and (entry in own or entry.isdigit()) for own in names):
            return [*parts[:2], *parts[3:]]
    return parts


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
