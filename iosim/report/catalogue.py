"""What there is to choose from: kinds by folder, options of one of them, costs of a profile.

Everything is read from the plug-ins themselves, so that a third party's are listed, too.

Validated by: tests/cli/test_list_command.py
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from iosim.errors import PluginError, UsageError, did_you_mean, shown
from iosim.plugins import broken, first_line, kinds
from iosim.report.layout import WIDTH
from iosim.units import canonical_fraction, canonical_rate

if TYPE_CHECKING:
    from types import ModuleType

    from pydantic import BaseModel

    from iosim.profile import CostEntry, Profile

FOLDERS: Mapping[str, str] = {
    "models": "io_models",
    "devices": "devices",
    "workloads": "workloads",
    "schedulers": "schedulers",
    "profiles": "profiles",
    "metrics": "metrics",
}
"""What can be listed, and the folder it lives in."""


def overview() -> str:
    """What can be listed, and the names in each."""
    return _in_columns([(what, ", ".join(dict(_entries(what)))) for what in FOLDERS])


def listing(what: str) -> str:
    """One line for each kind: its name, and what it is. Raises UsageError."""
    if what not in FOLDERS:
        hint = did_you_mean(what, FOLDERS)
        raise UsageError(
            f"expected one of {', '.join(FOLDERS)}, found {shown(what)}"
            + (f"; {hint}" if hint else "")
        )
    return _in_columns([*_entries(what), *_broken(what)])


def options(what: str, name: str, cost: str | None = None) -> str:
    """The options of one kind: type, default, meaning. Raises UsageError, ScenarioError.

    Of a profile, which may be a file: its costs, or all that is known of one of them.
    """
    if what == "profiles":
        return _profile(name) if cost is None else _cost(name, cost)
    listing(what)
    if cost is not None:
        raise UsageError(f"list {what} {name}: expected nothing more, found {shown(cost)}")
    entries = dict(_entries(what))
    for other, reason in _broken(what):
        if name == other and name not in entries:
            raise PluginError(f"{name}: {reason}")
    if name not in entries:
        hint = did_you_mean(name, entries)
        raise UsageError(
            f"expected one of the {what} ({', '.join(entries)}), found {shown(name)}"
            + (f"; {hint}" if hint else "")
        )
    lines = [*wrap(f"{name}: {entries[name]}", WIDTH), ""]
    if what == "metrics":
        return lines[0] + "\n"
    module = kinds(FOLDERS[what])[name]
    found = list(_options(module.Options))
    for key, kind, meaning in found:
        lines += wrap(f"{key}  ({kind})", WIDTH, initial_indent="  ", subsequent_indent="      ")
        lines += wrap(meaning, WIDTH, initial_indent="      ", subsequent_indent="      ")
    if not found:
        lines.append("  It has no options.")
    return "\n".join(lines) + "\n"


def shipped() -> str:
    """One line for each shipped scenario: its name, and what it shows."""
    from iosim.examples import examples

    return _in_columns([(example.name, example.shows) for example in examples()])


def _in_columns(entries: list[tuple[str, str]]) -> str:
    width = max((len(name) for name, _ in entries), default=0) + 2
    lines = []
    for name, text in entries:
        lines += wrap(
            f"{name:{width}}{text}", WIDTH, subsequent_indent=" " * width, drop_whitespace=True
        )
    return "\n".join(lines) + "\n"


def _entries(what: str) -> Iterator[tuple[str, str]]:
    if what == "profiles":
        yield from _profiles()
    elif what == "metrics":
        for module in kinds("metrics").values():
            for name, metric in module.NAMES.items():
                yield name, f"[{metric.unit}] {metric.description}"
            for name, metric in getattr(module, "PATTERNS", {}).items():
                yield name, f"[{metric.unit}] {metric.description}"
    else:
        for name, module in kinds(FOLDERS[what]).items():
            yield name, _says(module)


def _broken(what: str) -> Iterator[tuple[str, str]]:
    """Third parties' kinds that cannot be used, and why."""
    if what != "profiles":
        for name, reason in broken(FOLDERS[what]).items():
            yield name, f"broken, and left out: {reason}"


def _profiles() -> Iterator[tuple[str, str]]:
    from iosim.profile import SHIPPED_FOLDER
    from iosim.yaml_source import load_bytes

    for path in sorted(SHIPPED_FOLDER.glob("*.yaml")):
        # Only what it says of itself: reading all of its costs takes a while.
        head, _, _ = path.read_bytes().partition(b"\ncosts:")
        yield path.stem, str(load_bytes(head, str(path)).data["description"])


def _profile(name: str) -> str:
    """A profile, by name or file: each cost's value and spread, how it is known, what it is."""
    from iosim.profile import load

    profile = load(name)
    meanings = _meanings()
    width = max(len(cost) for cost in profile.entries)
    lines = [
        *wrap(f"{name}: {profile.description}", WIDTH),
        *wrap(f"Of: {profile.machine}; {profile.date}", WIDTH, subsequent_indent="    "),
        *(
            line
            for text in _besides(profile)
            for line in wrap(text, WIDTH, subsequent_indent="    ")
        ),
        "",
        f"{'cost':{width}} {'value':>8}  {'spread':<17} known",
    ]
    for cost, entry in profile.entries.items():
        value = "table" if isinstance(entry.value, tuple) else _exact(entry.value, entry.unit)
        lines.append(f"{cost:{width}} {value:>8}  {_spread(entry):<17} {_known(entry)}")
        texts = [meanings.get(cost, "")]
        if isinstance(entry.value, tuple):
            texts.append(_table(entry))
        for text in texts:
            lines += wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ")
    lines += ["", *wrap(f"Where one comes from: iosim list profiles {name} COST", WIDTH)]
    return "\n".join(lines) + "\n"


def _besides(profile: "Profile") -> Iterator[str]:
    """What a calibration has found out besides costs."""
    if (noise := profile.noise) is not None:
        low, high = (_exact(ns, "ns") for ns in (noise.length_ns[0][1], noise.length_ns[-1][1]))
        changed = {
            True: "",
            False: "; it changed while it was measured",
            None: "; there was too little to tell whether it stays so",
        }[noise.stationary]
        stolen = canonical_fraction(noise.stolen)
        yield f"host: takes {stolen} of the time away, in intervals of {low} to {high}{changed}"
    if profile.fitted_on:
        runs = (
            f"{run.model} ({run.runtime}, {run.connections} connections, "
            f"{_exact(run.demand_ns, 'ns')}, {canonical_rate(run.rate_per_s)})"
            for run in profile.fitted_on
        )
        yield f"fitted on: {', '.join(runs)}"


def _cost(name: str, cost: str) -> str:
    """One cost of a profile: all that is known of it. Raises UsageError."""
    from iosim.profile import load

    entries = load(name).entries
    if cost not in entries:
        hint = did_you_mean(cost, entries)
        raise UsageError(
            f"expected a cost of the profile {name}, found {shown(cost)}"
            + (f"; {hint}" if hint else "")
        )
    entry = entries[cost]
    is_table = isinstance(entry.value, tuple)
    told = {
        "table" if is_table else "value": (
            _table(entry) if isinstance(entry.value, tuple) else _exact(entry.value, entry.unit)
        ),
        "spread": _spread(entry),
        "known": _known(entry),
        "source": entry.source,
        **{
            f"row {number}": f"{row} = {total}" for number, (row, total) in enumerate(entry.rows, 1)
        },
        "change": f"--set profile.{cost}={'x0.5' if is_table else '... or =x0.5'}",
    }
    lines = [*wrap(f"{cost}: {_meanings().get(cost, '')}", WIDTH), ""]
    for key, text in told.items():
        lines += wrap(text, WIDTH, initial_indent=f"  {key:8}", subsequent_indent=" " * 10)
    return "\n".join(lines) + "\n"


def _meanings() -> dict[str, str]:
    """What each cost is: the docstrings of the fields of Costs, which stand in its source alone."""
    import ast
    import inspect

    from iosim.machine.costs import Costs

    tree = ast.parse(inspect.getsource(Costs)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in pairwise(tree.body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
            name = ast.unparse(field.target).rpartition("_")[0]
            found[name] = " ".join(str(ast.literal_eval(below.value)).split())
    return found


def cost_rows(profile: "Profile") -> Iterator[tuple[str, str, str, str, str]]:
    """Each cost of a profile: its name, value, spread, how it is known, and the source."""
    for cost, entry in profile.entries.items():
        value = _table(entry) if isinstance(entry.value, tuple) else _exact(entry.value, entry.unit)
        yield cost, value, _spread(entry), _known(entry), entry.source


def _known(entry: "CostEntry") -> str:
    """How it is known; for one that another profile says, which."""
    return entry.how + (f" ({entry.taken_from})" if entry.taken_from else "")


def _spread(entry: "CostEntry") -> str:
    if entry.spread is None:
        return ""
    if isinstance(entry.value, tuple):
        return " to ".join(f"x{factor:g}" for factor in entry.spread)
    return " to ".join(_exact(round(bound), entry.unit) for bound in entry.spread)


def _table(entry: "CostEntry") -> str:
    """A table in one line: each x and its value, which lie on straight lines in between."""
    assert isinstance(entry.value, tuple)
    return ", ".join(
        f"{x if entry.x_unit == 'count' else _exact(x, entry.x_unit)}: {_exact(y, entry.unit)}"
        for x, y in entry.value
    )


def _exact(value: int, unit: str | None) -> str:
    """A cost in the largest unit of which it has one, with all its digits."""
    from decimal import Decimal

    from iosim.units import DURATION_NS, canonical_size

    if unit != "ns":
        return canonical_size(value)
    name, factor = next(
        ((name, factor) for name, factor in DURATION_NS.items() if factor <= value), ("ns", 1)
    )
    return f"{(Decimal(value) / factor).normalize():f}{name}"


def _says(module: "ModuleType") -> str:
    """What a kind is, as its options say it, else the module."""
    documented = (module.Options.__doc__ or "").strip()
    return documented.splitlines()[0] if documented else first_line(module)


def _options(model: "type[BaseModel]") -> Iterator[tuple[str, str, str]]:
    """Each option's key, type with default, and meaning; nested ones as `outer.inner`."""
    schema = model.model_json_schema()
    yield from field_rows(schema, schema.get("$defs", {}))


def field_rows(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Keys of a JSON schema, nested ones dotted: what each takes, its default, its meaning."""
    required = schema.get("required", ())
    for key, field in schema.get("properties", {}).items():
        inner = definitions.get(field.get("$ref", "").rpartition("/")[2])
        if inner is not None:
            yield from field_rows(inner, definitions, f"{prefix}{key}.")
            continue
        kind = _kind(field)
        default = "required" if key in required else f"default {_spelled(field.get('default'))}"
        yield prefix + key, f"{kind}; {default}", field.get("description", "")
        for form in field.get("anyOf", ()):  # a mapping that may be left out
            inner = definitions.get(form.get("$ref", "").rpartition("/")[2], {})
            yield from field_rows(inner, definitions, f"{prefix}{key}.")


def _kind(field: Mapping[str, Any]) -> str:
    """What a value may be, in a few words."""
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "examples" in field:
        return f"e.g. {field['examples'][0]}"
    if "oneOf" in field:
        forms = [form["required"][0] for form in field["oneOf"] if form.get("required")]
        return f"one of {', '.join(forms)}"
    if "anyOf" in field:
        forms = [form for form in field["anyOf"] if form.get("type") != "null"]
        return " or ".join(dict.fromkeys(_kind(form) for form in forms))
    named = {"boolean": "true | false", "string": "text", "integer": "whole number"}
    return named.get(field.get("type", ""), "a mapping")


def _spelled(default: object) -> str:
    if default is None:
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default)
