"""Pages made from the code at each build: commands, scenario keys, metrics, costs of the profile.

Each is a file docs/reference/NAME.md, written when the build starts and kept out of the
repository, so that a reference can never say what the code does not.

Validated by: tests/docs/test_reference.py
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from reference_keys import scenario_keys
from text import code, table


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
    from iosim.report.catalogue import cost_rows

    profile = load("reference")
    yield from ("# Costs of the reference profile", "", profile.description, "")
    yield f"Of: {profile.machine}; {profile.date}. `how` a number is known: `iosim.profile` says."
    yield ""
    yield from table(("cost", "value", "spread", "how", "source"), cost_rows(profile))


PAGES: Mapping[str, Callable[[], Iterable[str]]] = {
    "commands": commands,
    "scenario": scenario_keys,
    "metrics": metrics,
    "costs": costs,
}


def setup(app: Any) -> dict[str, Any]:
    """Write the pages when Sphinx starts."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "reference"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
