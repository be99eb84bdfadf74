"""What there is to choose from: kinds by folder, and the options of one of them.

Everything is read from the plug-ins themselves, so that a third party's are listed, too.

Validated by: tests/cli/test_list_command.py
"""

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from iosim.errors import PluginError, UsageError, did_you_mean, shown
from iosim.plugins import broken, first_line, kinds
from iosim.report.layout import WIDTH

if TYPE_CHECKING:
    from types import ModuleType

    from pydantic import BaseModel

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
        from iosim.report.costs import of_profile, one

        return of_profile(name) if cost is None else one(name, cost)
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
