"""The cost profile: what everything costs on one machine, and how each number is known.

    name: mine                        # a profile of one's own may give only what differs
    description: the reference with a dear context switch
    extends: reference                # a shipped profile, or a path from this file's folder
    costs:
      context_switch: {value: 2us, spread: [1.5us, 3us], how: measured, source: lmbench lat_ctx}
      idle_exit: {table: [[10us, 5us], [1ms, 20us]], how: assumed, source: no deep idle state}

A cost's name is its field in `Costs` without the unit. `value` is one quantity, `table` a list of
[x, duration] with x increasing: a duration (how long a core idled), a size (a reuse distance) or
a count (of descriptors), as the cost has it. `spread` is [low, high] around the value, for a table
two factors on all of its durations, as [x0.5, x1.2]. `how` the number is known is one of

- measured: read off one measurement, less at most a syscall's entry;
- fitted: found by `iosim calibrate`, so that measured rows and runs of real servers come out;
- derived: worked out from measurements, as `source` says;
- literature: taken from a publication or from source code;
- assumed: an estimate, that nobody has measured here.

`rows` ties a cost to the measurements: the name of a row of the file `measurements` (language, name
and parameter), and the sum of costs that should give it: `{c null_syscall getppid: syscall}`.

A profile that `iosim calibrate` has written says besides what the host took away (`host_noise`, see
iosim.host_noise) and which runs of real servers it was fitted on (`fitted_on`).

*Scope*: `load`, `find`, `with_costs`. Every problem of a file is told at once, with its place.

*Not done*: nothing is measured or written here; sums in `rows` are read by iosim.calibration.

*Validated by*: tests/unit/test_profile.py
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from iosim import yaml_source
from iosim.errors import (
    Mismatch,
    Problem,
    ScenarioError,
    UsageError,
    did_you_mean,
    path_text,
    shown,
)
from iosim.host_noise import HostNoise
from iosim.host_noise import read as read_noise
from iosim.machine.costs import Costs, Table
from iosim.units import (
    LARGEST_INT,
    canonical_duration,
    canonical_size,
    parse_count,
    parse_duration,
    parse_rate,
    parse_size,
)

HOW = ("measured", "fitted", "derived", "literature", "assumed")
AS_FAST_AS_IT_ANSWERS = "most"
"""The rate of a run of `fitted_on` at saturation."""
SHIPPED_FOLDER = Path(__file__).parent / "profiles"

_Path = tuple[str | int, ...]


def _name(text: object) -> str:
    if isinstance(text, str) and text:
        return text
    raise Mismatch("a name", shown(text))


def _rate(text: object) -> float | None:
    return None if text == AS_FAST_AS_IT_ANSWERS else parse_rate(text)


_RUN: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "model": ("model", _name),
    "runtime": ("runtime", _name),
    "connections": ("connections", parse_count),
    "demand": ("demand_ns", parse_duration),
    "rate": ("rate_per_s", _rate),
}
"""How a run of `fitted_on` is written."""


@dataclass(frozen=True, slots=True)
class CostEntry:
    """One cost and how it is known.

    `value` is in `unit` ("ns" or "bytes"); a table's x is in `x_unit` ("ns", "bytes" or "count").
    `spread` is (low, high) in `unit`, for a table (low, high) factors on its ns.
    """

    value: int | Table
    unit: str
    spread: tuple[float, float] | None
    source: str
    how: str
    x_unit: str | None = None
    rows: tuple[tuple[str, str], ...] = ()
    taken_from: str | None = field(default=None, compare=False)
    """The profile that says so, if it is not the one that this entry is read from."""


@dataclass(frozen=True, slots=True)
class FittedOn:
    """Runs of a real server that costs were fitted on, and which are no test of them."""

    model: str
    runtime: str
    connections: int
    demand_ns: int
    rate_per_s: float | None
    """None: as fast as it answers."""


@dataclass(frozen=True)
class Profile:
    """What everything costs on one machine. `entries` goes by cost name, in the order of Costs.

    `sha256` identifies the content: of the file, of what it extends, of what was changed by code.
    """

    name: str
    description: str
    machine: str
    date: str
    measurements: str | None
    file: str
    sha256: str
    costs: Costs
    entries: Mapping[str, CostEntry]
    noise: HostNoise | None = None
    fitted_on: tuple[FittedOn, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the value of one cost is written."""

    field: str
    unit: str
    parse: Callable[[object], int]
    x_unit: str | None = None
    parse_x: Callable[[object], int] | None = None
    positive: bool = False

    @property
    def key(self) -> str:
        return "value" if self.parse_x is None else "table"

    def number(self, written: object) -> int:
        """Read one value, or a y of a table. Raises Mismatch."""
        value = self.parse(written)
        if self.positive and value == 0:
            raise Mismatch("more than 0", shown(written))
        return value


_PARSE_X = {
    "idle_exit": ("ns", parse_duration),
    "idle_exit_charged": ("ns", parse_duration),
    "cold_execution": ("ns", parse_duration),
    "cpython_cold_execution": ("ns", parse_duration),
    "cache_refill_per_kib": ("bytes", parse_size),
    "poll_per_descriptor": ("count", parse_count),
    "file_copy_per_kib": ("bytes", parse_size),
}
# An interval of zero would let two threads hand the interpreter lock over for ever; without
# gaps a core would be stolen for ever.
_POSITIVE = frozenset(("cache", "cpython_switch_interval", "stolen_gap"))


def _kinds() -> dict[str, _Kind]:
    kinds = {}
    for cost in fields(Costs):
        # What has a default is no cost: it comes from `host_noise`.
        if not cost.init or cost.default is not MISSING:
            continue
        name, _, unit = cost.name.rpartition("_")
        parse = parse_duration if unit == "ns" else parse_size
        x_unit, parse_x = _PARSE_X[name] if cost.type == Table else (None, None)
        kinds[name] = _Kind(cost.name, unit, parse, x_unit, parse_x, name in _POSITIVE)
    return kinds


_KINDS = _kinds()
COST_NAMES = tuple(_KINDS)
"""Every cost that a profile gives, in the order of Costs."""


def read_x(cost: str, written: object) -> int:
    """An x of a cost's table, as its file has it: `100us`, `16KiB`, 100. Raises Mismatch."""
    parse_x = _KINDS[cost].parse_x
    assert parse_x is not None, f"{cost} is no table"
    return parse_x(written)


# Finding and reading


def find(name_or_path: str | Path, folder: str | Path = "") -> Path:
    """Find a shipped profile by name, or a file by its path from `folder`. Raises Mismatch."""
    shipped = sorted(path.stem for path in SHIPPED_FOLDER.glob("*.yaml"))
    if str(name_or_path) in shipped:
        return SHIPPED_FOLDER / f"{name_or_path}.yaml"
    path = Path(folder) / name_or_path
    if path.is_file():
        return path
    expected = f"a profile ({', '.join(shipped)}) or the path of a YAML file"
    raise Mismatch(expected, shown(str(name_or_path)), did_you_mean(str(name_or_path), shipped))


def load(
    name_or_path: str | Path,
    folder: str | Path = "",
    changes: Mapping[str, str] = MappingProxyType({}),
) -> Profile:
    """Read the profile that `find` finds, and change costs as `with_costs` does.

    Raises UsageError if none is found or a change makes no sense, ScenarioError.
    """
    try:
        path = find(name_or_path, folder)
        profile = _read(path, ())
    except Mismatch as mismatch:
        raise UsageError(f"profile: {mismatch}") from None
    return with_costs(profile, changes)


def _read(path: Path, extended_by: tuple[Path, ...]) -> Profile:
    try:
        with path.open("rb") as file:
            content = file.read(yaml_source.MAX_BYTES + 1)
    except OSError as error:
        raise Mismatch("a file that can be read", f"{path}: {error.strerror}") from None
    reader = _Reader(yaml_source.load_bytes(content, str(path)))
    profile = reader.profile(path, content, extended_by)
    if reader.problems or profile is None:
        raise ScenarioError(reader.problems)
    return profile


def _costs(entries: Mapping[str, CostEntry], noise: HostNoise | None) -> Costs:
    values: dict[str, Any] = {_KINDS[name].field: entry.value for name, entry in entries.items()}
    if noise is not None:
        values["stolen_length_quantiles_ns"] = noise.length_ns
        values["stolen_gap_quantiles_ns"] = noise.gap_ns
    return Costs(**values)


def _taken_over(entry: CostEntry, base: str) -> CostEntry:
    return entry if entry.taken_from else replace(entry, taken_from=base)


class _Reader:
    """Turns one file's data into a profile and collects what is wrong with it."""

    def __init__(self, source: yaml_source.Source) -> None:
        self.problems: list[Problem] = []
        self._source = source

    def profile(self, path: Path, content: bytes, extended_by: tuple[Path, ...]) -> Profile | None:
        data = self._source.data
        base = self._base(path, extended_by) if "extends" in data else None
        own = ("name", "description", "costs")
        described = ("machine", "date")
        required = own if "extends" in data else (*own, *described)
        optional = (*described, "extends", "measurements", "fitted_on", "host_noise")
        self._keys(data, (), required, optional)
        text: dict[str, Any] = {
            key: self._text(data[key], (key,))
            for key in ("name", "description", *described, "measurements")
            if key in data
        }
        self._check_date(text.get("date"))
        entries = self._entries(data.get("costs", {}))
        noise = base.noise if base is not None else None
        if "host_noise" in data:
            noise = self._noise(data["host_noise"])
        fitted_on = self._fitted_on(data.get("fitted_on", []))
        if base is not None:
            inherited = (*described, "measurements")
            text = {key: getattr(base, key) for key in inherited} | text
            entries = {
                name: entries.get(name) or _taken_over(base.entries[name], base.name)
                for name in COST_NAMES
            }
        elif "extends" not in data and isinstance(data.get("costs"), dict):
            for name in COST_NAMES:
                if name not in data["costs"]:
                    self._problem(("costs",), f"a cost {name!r}", "none")
        if self.problems:
            return None
        digest = hashlib.sha256(content)
        if base is not None:
            digest.update(base.sha256.encode())
        return Profile(
            **{"measurements": None, **text},
            file=str(path),
            sha256=digest.hexdigest(),
            costs=_costs(entries, noise),
            entries={name: entries[name] for name in COST_NAMES},
            noise=noise,
            fitted_on=fitted_on or (base.fitted_on if base is not None else ()),
        )

    def _base(self, path: Path, extended_by: tuple[Path, ...]) -> Profile | None:
        """Read the profile that this one extends."""
        name = self._text(self._source.data["extends"], ("extends",))
        if not name:
            return None
        chain = (*extended_by, path.resolve())
        try:
            base = find(name, path.parent)
            if base.resolve() in chain:
                raise Mismatch("a profile that does not extend this one", shown(name))
            return _read(base, chain)
        except Mismatch as mismatch:
            self._problem(("extends",), mismatch.expected, mismatch.found, mismatch.hint)
        except ScenarioError as error:
            self.problems.extend(error.problems)
        return None

    def _noise(self, data: object) -> HostNoise | None:
        def problem(path: _Path, wrong: Mismatch) -> None:
            self._problem(("host_noise", *path), wrong.expected, wrong.found, wrong.hint)

        return read_noise(data, problem)

    def _fitted_on(self, data: object) -> tuple[FittedOn, ...]:
        if not isinstance(data, list):
            self._problem(("fitted_on",), "a list of runs", shown(data))
            return ()
        found = []
        for i, run in enumerate(data):
            path = ("fitted_on", i)
            if not isinstance(run, dict):
                self._problem(path, f"a mapping with the keys {', '.join(_RUN)}", shown(run))
                continue
            self._keys(run, path, tuple(_RUN), ())
            values: dict[str, Any] = {}
            for key, (name, parse) in _RUN.items():
                if key in run:
                    try:
                        values[name] = parse(run[key])
                    except Mismatch as wrong:
                        self._problem((*path, key), wrong.expected, wrong.found, wrong.hint)
            if len(values) == len(_RUN):
                found.append(FittedOn(**values))
        return tuple(found)

    def _check_date(self, text: str | None) -> None:
        try:
            date.fromisoformat(text or "2000-01-01")
        except ValueError:
            self._problem(("date",), "a date such as 2026-11-23", shown(text))

    def _entries(self, costs: object) -> dict[str, CostEntry]:
        if not isinstance(costs, dict):
            self._problem(("costs",), "a mapping of costs", shown(costs))
            return {}
        entries = {}
        for name, data in costs.items():
            if name not in _KINDS:
                hint = did_you_mean(name, COST_NAMES)
                self._problem(("costs", name), "the name of a cost", shown(name), hint)
            elif not isinstance(data, dict):
                expected = f"a mapping with the keys '{_KINDS[name].key}', 'how' and 'source'"
                self._problem(("costs", name), expected, shown(data))
            elif (entry := self._entry(_KINDS[name], data, ("costs", name))) is not None:
                entries[name] = entry
        return entries

    def _entry(self, kind: _Kind, data: dict[str, Any], path: _Path) -> CostEntry | None:
        """Read one cost, or return None if something is wrong with it."""
        before = len(self.problems)
        self._keys(data, path, (kind.key, "how", "source"), ("spread", "rows"))
        value: int | Table | None = None
        if kind.key in data:
            read = self._value if kind.parse_x is None else self._table
            value = read(kind, data[kind.key], (*path, kind.key))
        if "how" in data and data["how"] not in HOW:
            hint = did_you_mean(data["how"], HOW)
            self._problem((*path, "how"), f"one of {', '.join(HOW)}", shown(data["how"]), hint)
        source = self._text(data.get("source", "-"), (*path, "source"))
        rows = self._rows(data.get("rows", {}), (*path, "rows"))
        spread = None
        if "spread" in data:
            around = 1 if kind.parse_x is not None else value
            parse = _factor if kind.parse_x is not None else kind.parse
            spread = self._spread(parse, data["spread"], around, (*path, "spread"))
        if len(self.problems) > before or value is None:
            return None
        return CostEntry(value, kind.unit, spread, source, data["how"], kind.x_unit, rows)

    def _value(self, kind: _Kind, data: object, path: _Path) -> int | None:
        try:
            return kind.number(data)
        except Mismatch as mismatch:
            self._problem(path, mismatch.expected, mismatch.found, mismatch.hint)
        return None

    def _table(self, kind: _Kind, data: object, path: _Path) -> Table | None:
        assert kind.parse_x is not None
        if not isinstance(data, list) or not data:
            self._problem(path, "a table [[x, duration], ...] of one row or more", shown(data))
            return None
        points: list[tuple[int, int]] = []
        before = len(self.problems)
        for i, pair in enumerate(data):
            if not isinstance(pair, list) or len(pair) != 2:
                self._problem((*path, i), "a pair [x, duration]", shown(pair))
                continue
            try:
                point = kind.parse_x(pair[0]), kind.number(pair[1])
            except Mismatch as mismatch:
                self._problem((*path, i), mismatch.expected, mismatch.found, mismatch.hint)
                continue
            if points and point[0] <= points[-1][0]:
                expected = f"x to increase, so more than {data[i - 1][0]}"
                self._problem((*path, i), expected, shown(pair[0]))
            points.append(point)
        return tuple(points) if len(self.problems) == before else None

    def _spread(
        self, parse: Callable[[object], float], data: object, around: Any, path: _Path
    ) -> tuple[float, float] | None:
        """Read [low, high] and hold it against `around`, which is None if it could not be read."""
        if not isinstance(data, list) or len(data) != 2:
            self._problem(path, "a pair [low, high]", shown(data))
            return None
        try:
            low, high = parse(data[0]), parse(data[1])
        except Mismatch as mismatch:
            self._problem(path, mismatch.expected, mismatch.found, mismatch.hint)
            return None
        if around is not None and not low <= around <= high:
            self._problem(path, "low <= value <= high", f"{data[0]} to {data[1]}")
        return low, high

    def _rows(self, data: object, path: _Path) -> tuple[tuple[str, str], ...]:
        if isinstance(data, dict) and all(isinstance(total, str) for total in data.values()):
            return tuple(data.items())
        self._problem(path, "a mapping of measured rows to sums of costs", shown(data))
        return ()

    def _text(self, data: object, path: _Path) -> str:
        if isinstance(data, str) and data.strip():
            return data.strip()
        self._problem(path, "a text", shown(data))
        return ""

    def _keys(
        self,
        data: dict[str, Any],
        path: _Path,
        required: tuple[str, ...],
        optional: tuple[str, ...],
    ) -> None:
        known = (*required, *optional)
        unknown = [key for key in data if key not in known]
        for key in unknown:
            expected = f"one of the keys {', '.join(known)}"
            self._problem((*path, key), expected, shown(key), did_you_mean(key, known))
        for key in required:
            if key not in data:
                self._problem(path, f"a key {key!r}", "none")

    def _problem(self, path: _Path, expected: str, found: str, hint: str | None = None) -> None:
        line, column = self._source.locate(path)
        where = path_text(path)
        self.problems.append(Problem(self._source.file, line, column, where, expected, found, hint))


# Making and changing


def assembled(
    name: str,
    description: str,
    machine: str,
    date: str,
    entries: Mapping[str, CostEntry],
    noise: HostNoise | None = None,
    fitted_on: tuple[FittedOn, ...] = (),
) -> Profile:
    """A profile that is in no file yet; `entries` are all costs, in the order of Costs."""
    told = repr((name, machine, date, [(*item,) for item in entries.items()], noise, fitted_on))
    return Profile(
        name=name,
        description=description,
        machine=machine,
        date=date,
        measurements=None,
        file="",
        sha256=hashlib.sha256(told.encode()).hexdigest(),
        costs=_costs(entries, noise),
        entries=entries,
        noise=noise,
        fitted_on=fitted_on,
    )


def with_costs(profile: Profile, changes: Mapping[str, str]) -> Profile:
    """Change costs by name, to a quantity (`2us`) or by a factor (`x0.5`). Raises UsageError.

    A table is changed by a factor, which scales its ns and leaves its x alone.
    """
    if not changes:
        return profile
    entries = dict(profile.entries)
    wrong = []
    for name, text in changes.items():
        try:
            if name not in _KINDS:
                raise Mismatch("the name of a cost", shown(name), did_you_mean(name, COST_NAMES))
            entries[name] = _changed(_KINDS[name], entries[name], text)
        except Mismatch as mismatch:
            wrong.append(f"profile.{name}: {mismatch}")
    if wrong:
        raise UsageError("\n".join(wrong))
    told = sorted(f"{name}={text}" for name, text in changes.items())
    return replace(
        profile,
        name=f"{profile.name} ({', '.join(told)})",
        sha256=hashlib.sha256("\n".join((profile.sha256, *told)).encode()).hexdigest(),
        costs=_costs(entries, profile.noise),
        entries=entries,
    )


def _changed(kind: _Kind, entry: CostEntry, text: str) -> CostEntry:
    """Change one cost. What was known of it holds no longer, so it is an assumption now."""
    value: int | Table
    spread = None
    if isinstance(text, str) and text.startswith("x"):
        factor = _factor(text)
        spread = entry.spread
        if isinstance(entry.value, tuple):
            value = tuple((x, _scaled(y, factor)) for x, y in entry.value)
            before = "the table"
        else:
            value = _scaled(entry.value, factor)
            before = _canonical(kind, entry.value)
            spread = spread and (spread[0] * factor, spread[1] * factor)
        if kind.positive and value == 0:
            raise Mismatch("more than 0", shown(text))
    elif isinstance(entry.value, tuple):
        raise Mismatch("a factor on the table, such as x0.5", shown(text))
    else:
        value = kind.number(text)
        before = _canonical(kind, entry.value)
    source = f"changed to {text} from {before} ({entry.how}: {entry.source})"
    return replace(
        entry, value=value, spread=spread, source=source, how="assumed", rows=(), taken_from=None
    )


def _canonical(kind: _Kind, value: int) -> str:
    return canonical_duration(value) if kind.unit == "ns" else canonical_size(value)


def _factor(text: object) -> float:
    """Read a factor such as `x0.5`. Raises Mismatch."""
    if not isinstance(text, str) or not re.fullmatch(r"x[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise Mismatch("a factor such as x0.5", shown(text))
    return float(text[1:])


def _scaled(value: int, factor: float) -> int:
    scaled = round(value * factor)
    if scaled > LARGEST_INT:
        raise Mismatch("a factor that keeps the cost below 2**63", f"x{factor:g}")
    return scaled
