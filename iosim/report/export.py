"""Results as files: the JSON document, a long CSV table, Markdown tables.

    results.json    the document that `iosim run --json` prints
    results.csv     model, metric, mean, low, high, unit, n: how many replications define
                    it; an empty field where there is none
    results.md      the tables of the terminal, and the finding

A file is written beside its place and then moved there, so that nobody ever reads half of
one, and what stood there before survives a failure. A text in a CSV that a spreadsheet
would take for a formula has an apostrophe before it.

Scope: which format it is, the name's extension says. `Export.to` finds out before a run
whether the file could be written.
Validated by: tests/cli/test_export.py
"""

import csv
import io
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from iosim.errors import UsageError, did_you_mean
from iosim.report.layout import Table
from iosim.results import Results


def to_json(results: Results) -> str:
    """The document, indented, in ASCII; never NaN or Infinity."""
    return json.dumps(results.to_document(), allow_nan=False, indent=2) + "\n"


def to_csv(results: Results) -> str:
    """One line for each model and metric."""
    from iosim.metrics import describe

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("model", "metric", "mean", "low", "high", "unit", "n"))
    for model in results.models:
        for name, e in model.metrics.items():
            unit = describe(name).unit
            what = inert(model.label), inert(name)
            writer.writerow((*what, e.mean, e.low, e.high, unit, e.n))
    return text.getvalue()


def inert(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def to_markdown(results: Results) -> str:
    """All tables, under a heading of the scenario's name."""
    from iosim.report.finding import findings
    from iosim.report.summary import describe, endings
    from iosim.report.table import tables

    parts = [f"# {escaped(results.scenario.name)}"]
    described = describe(results.scenario, results.profile)
    parts.append("\n".join(f"    {line}" for line in described))
    parts += [markdown_table(table) for table in tables(results)]
    ends = [f"- {escaped(line)}" for line in endings(results)]
    if ends:
        parts.append("\n".join(ends))
    parts += [escaped(sentence) for sentence in findings(results)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """A table with its title and notes."""
    heads = [escaped(column.title).strip() for column in table.columns]
    lines = [f"**{escaped(table.title)}**", ""] if table.title else []
    lines.append(_line(heads))
    lines.append(_line([":--", *["--:"] * (len(heads) - 1)]))
    lines += [_line([escaped(str(cell)).strip() for cell in row]) for row in table.rows]
    lines += ["", *table.notes] if table.notes else []
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Text in which Markdown finds no markup."""
    return "".join(f"\\{char}" if char in "\\|*_`<[#" else char for char in text)


FORMATS: Mapping[str, Callable[[Results], str]] = {
    ".json": to_json,
    ".csv": to_csv,
    ".md": to_markdown,
}


@dataclass(frozen=True)
class Export:
    """A file to write, known to be writable."""

    path: Path
    write_as: Callable[[Results], str]

    @classmethod
    def to(cls, path: Path) -> "Export":
        """An export to `path`. Raises UsageError if it could not be written."""
        extension = path.suffix.lower()
        if extension not in FORMATS:
            known = ", ".join(FORMATS)
            hint = did_you_mean(extension, FORMATS)
            raise UsageError(
                f"--export {path}: expected a file that ends in one of {known}, found "
                f"'{path.suffix}'" + (f"; {hint}" if hint else "")
            )
        cls.writable("--export", path)
        return cls(path, FORMATS[extension])

    @staticmethod
    def writable(option: str, path: Path) -> None:
        """Raise UsageError if the file that an option names could not be written."""
        target = Path(os.path.realpath(path))
        try:
            found = target.stat().st_mode
        except FileNotFoundError:
            found = 0
        except OSError as error:
            raise UsageError(f"{option} {path}: cannot be written: {error.strerror}") from None
        folder = target.parent
        if stat.S_ISDIR(found):
            raise UsageError(f"{option} {path}: expected a file, found a folder")
        if not folder.is_dir():
            raise UsageError(f"{option} {path}: expected the folder '{folder}' to exist")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"{option} {path}: expected a folder that can be written to")

    def write(self, results: Results) -> None:
        """Write the file. Raises UsageError if that fails after all."""
        write_atomically(self.path, self.write_as(results))


def write_all(exports: Iterable[Export], results: Results) -> None:
    """Write every file that can be written. Raises UsageError for the others.

    An interrupted run of which nothing has finished leaves the files as they were.
    """
    if results.interrupted and not any(model.records for model in results.models):
        return
    failed = []
    for export in exports:
        try:
            export.write(results)
        except UsageError as error:
            failed.append(str(error))
    if failed:
        raise UsageError("\n".join(failed))


def write_atomically(path: Path, content: str | bytes) -> None:
    """Put a file with this text (in UTF-8) in its place at once, behind a link if it is one.

    Raises UsageError.
    """
    with opened_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def opened_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which comes to its place at the end, if that is reached.

    Raises UsageError.
    """
    # Not named after the file: its name may be as long as names can be.
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(f".iosim-{os.getpid()}.part")
    try:
        if target.exists() and not target.is_file():  # a device or a pipe has no half of a file
            with target.open("wb") as file:
                yield file
            return
        try:
            with unfinished.open("wb") as file:
                yield file
            os.replace(unfinished, target)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
