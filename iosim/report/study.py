"""A study's answer as people and programs read it: terminal, Markdown, CSV, JSON.

Every study gives its answer once, as an `Answer`; here it is laid out and written to files.

    answer.json    the document that `--json` prints
    answer.csv     one line for each figure
    answer.md      the tables of the terminal, and the sentences; fit for a pull request

Validated by: tests/studies/test_compare.py
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iosim.errors import UsageError, did_you_mean
from iosim.report.export import Export, escaped, inert, markdown_table, write_atomically
from iosim.report.layout import WIDTH, Style, Table, lay_out, paragraph


@dataclass(frozen=True)
class Answer:
    """What a study found."""

    title: str
    tables: tuple[Table, ...]
    sentences: tuple[str, ...]
    document: Mapping[str, Any]
    """Plain data without NaN."""
    columns: tuple[str, ...]
    rows: tuple[Sequence[Any], ...]
    """The same as a long table, one figure a row."""
    main: tuple[Table, ...] = ()
    """What `--quiet` leaves of tables and sentences; none: all of them."""


def to_text(
    answer: Answer, style: Style | None = None, width: int = WIDTH, quiet: bool = False
) -> str:
    """The tables and the sentences, or the main ones alone, for a terminal."""
    style = style or Style()
    tables, sentences = (
        (answer.main, ()) if quiet and answer.main else (answer.tables, answer.sentences)
    )
    blocks = [[style.strong(answer.title)]]
    blocks += [lay_out(table, style, width) for table in tables]
    blocks.append([line for text in sentences for line in paragraph(text, width)])
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def to_markdown(answer: Answer) -> str:
    """The same with Markdown's tables."""
    parts = [f"### {escaped(answer.title)}", *map(markdown_table, answer.tables)]
    parts.append("\n".join(f"- {escaped(text)}" for text in answer.sentences))
    return "\n\n".join(part for part in parts if part) + "\n"


def to_csv(answer: Answer) -> str:
    """One line for each figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.columns)
    for row in answer.rows:
        writer.writerow([inert(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue()


def to_json(answer: Answer) -> str:
    """The document, indented, in ASCII; never NaN or Infinity."""
    from iosim import __version__

    document = {"iosim_version": __version__, **answer.document}
    return json.dumps(document, allow_nan=False, indent=2) + "\n"


FORMATS: Mapping[str, Callable[[Answer], str]] = {
    ".json": to_json,
    ".csv": to_csv,
    ".md": to_markdown,
}


def require_writable(paths: Iterable[Path]) -> None:
    """Raise UsageError, before the work, for files that could not be written after it."""
    for path in paths:
        if path.suffix.lower() not in FORMATS:
            hint = did_you_mean(path.suffix.lower(), FORMATS)
            raise UsageError(
                f"--export {path}: expected a file that ends in one of {', '.join(FORMATS)}, found "
                f"'{path.suffix}'" + (f"; {hint}" if hint else "")
            )
        Export.writable("--export", path)


def write_all(answer: Answer, paths: Iterable[Path]) -> None:
    """Write the answer to each file, in the format of its name. Raises UsageError."""
    for path in paths:
        write_atomically(path, FORMATS[path.suffix.lower()](answer))
