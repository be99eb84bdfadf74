"""Pages made from the code at each build: commands, scenario keys, metrics, costs, every kind.

Each is a file docs/reference/NAME.md, written when the build starts and kept out of the
repository, so that a reference can never say what the code does not.

Validated by: tests/docs/test_reference.py
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kinds_pages import page, prose

KINDS = {
    "models": "I/O models",
    "devices": "Devices and networks",
    "workloads": "Workloads",
    "schedulers": "Schedulers",
}
"""What a scenario names by kind, and the heading that it stands under."""


def write(folder: Path) -> list[Path]:
    """Write all pages into `folder`; one that says the same already is left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, make in PAGES.items():
        path, text = folder / f"{name}.md", "\n".join(make()) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def commands() -> Iterator[str]:
    """Each command's help, as the command itself prints it at 80 columns."""
    import typer

    from iosim.cli import app

    root = typer.main.get_command(app)
    yield from ("# Commands", "", "Each as `iosim COMMAND --help` prints it.", "")
    yield from _command(root, "iosim", None)


def _command(command: Any, path: str, parent: Any) -> Iterator[str]:
    context = command.make_context(
        path.rsplit(" ", 1)[-1],
        [],
        parent=parent,
        resilient_parsing=True,
        terminal_width=80,
        max_content_width=80,
    )
    if parent is not None:
        yield from (f"## {path}", "")
    yield from ("```text", command.get_help(context), "```", "")
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(inner, f"{path} {name}", context)


def scenario_keys() -> Iterator[str]:
    """Every key of a scenario with what it takes, its default and its meaning."""
    from iosim.plugins import kinds
    from iosim.report.catalogue import FOLDERS, field_rows
    from iosim.scenario import Scenario

    schema = Scenario.model_json_schema()
    definitions = schema["$defs"]
    yield from ("# Scenario keys", "")
    yield "Quantities have their unit: 20us, 64KiB, 10k/s, 10%. A nested key stands with dots, as"
    yield "`--set` takes it. `iosim schema` prints the same for an editor."
    yield from ("", "## The scenario", "", *_keys(field_rows(schema, definitions)))
    inlined = {name for name in definitions if f'"#/$defs/{name}"' in json.dumps(_nested(schema))}
    yield from ("## Its parts", "", "Steps, distributions and what else can stand in it.", "")
    for name, part in definitions.items():
        if not name.startswith("iosim__") and name not in inlined:
            yield from (f"### {name}", "", part.get("description", ""), "")
            yield from _keys(field_rows(part, definitions))
    for what, heading in KINDS.items():
        yield from (f"## {heading}", "")
        for name, module in kinds(FOLDERS[what]).items():
            options = module.Options.model_json_schema()
            yield from (f"### {name}", "", options.get("description", ""), "")
            yield from _keys(field_rows(options, options.get("$defs", {})))


def _nested(schema: Mapping[str, Any]) -> list[Any]:
    """What `field_rows` shows under the key that holds it."""
    return [field for field in schema["properties"].values() if "$ref" in field]


def _keys(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    cells = []
    for key, kind, meaning in rows:
        takes, _, default = kind.rpartition("; ")
        cells.append((code(key), takes, default.removeprefix("default "), meaning))
    if cells:
        yield from table(("key", "takes", "default", "meaning"), cells)
    else:
        yield from ("It has no options.", "")


def metrics() -> Iterator[str]:
    """Every metric with its unit, by family."""
    from iosim.plugins import first_line, kinds

    yield from ("# Metrics", "")
    yield "The names in results, in `--export FILE.csv`, and in `slo:`. A `*` stands for the name"
    yield "of a device, a syscall, a class of requests."
    yield ""
    for family in kinds("metrics").values():
        yield from (f"## {first_line(family).rstrip('.:')}", "")
        named: Mapping[str, Any] = {**family.NAMES, **getattr(family, "PATTERNS", {})}
        rows = ((code(name), metric.unit, metric.description) for name, metric in named.items())
        yield from table(("metric", "unit", "what it is"), rows)


def costs() -> Iterator[str]:
    """Every cost of the reference profile with value, spread and source."""
    from iosim.profile import load

    profile = load("reference")
    yield from ("# Costs of the reference profile", "", profile.description, "")
    yield f"Of: {profile.machine}; {profile.date}. `how` a number is known: `iosim.profile` says."
    yield ""
    yield from table(("cost", "value", "spread", "how", "source"), _costs(profile))


def _costs(profile: Any) -> Iterator[tuple[str, ...]]:
    from iosim.report.costs import cost_rows

    for name, *known in cost_rows(profile):
        yield code(name), *known


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table in Markdown, and a blank line."""
    head = tuple(head)
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(_cell(text) for text in row)} |"
    yield ""


def code(text: str) -> str:
    """`text` as code."""
    return f"`{text}`"


def _cell(text: str) -> str:
    return " ".join(prose(text.replace("|", "\\|")).split())


PAGES: Mapping[str, Callable[[], Iterable[str]]] = {
    "commands": commands,
    "scenario": scenario_keys,
    "metrics": metrics,
    "costs": costs,
    "io-models": partial(page, "io_models", "I/O models, one by one"),
    "devices": partial(page, "devices", "Devices and networks, one by one"),
    "workloads": partial(page, "workloads", "Workloads, one by one"),
    "schedulers": partial(page, "schedulers", "Schedulers, one by one"),
}
"""Each page's name, and what makes its lines."""


def setup(app: Any) -> dict[str, Any]:
    """Write the pages when Sphinx starts."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "reference"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
