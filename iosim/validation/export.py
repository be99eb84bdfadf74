"""A validation as text and as files.

    validation.json    everything: both sides' figures of every cell, and what they come to
    validation.csv     a line for each figure
    validation.md      the tables of a terminal; between `BEGIN` and `END` of a page that has these
    validation.png     a picture (plot.py), .svg as well

Scope: which format it is, the name's extension says.
Validated by: tests/validation/test_validation_export.py
"""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from iosim.errors import UsageError, did_you_mean
from iosim.report.export import Export, escaped, inert, markdown_table, write_atomically
from iosim.report.layout import lay_out, paragraph, style_for, width_for
from iosim.statistics import Estimate
from iosim.validation.assessing import Assessment
from iosim.validation.formula import Contest
from iosim.validation.ordering import Order
from iosim.validation.plot import PICTURES, draw
from iosim.validation.report import cell_tables, summary_tables
from iosim.validation.running import Comparison
from iosim.validation.telling import sentences

BEGIN = "<!-- validation: begin -->"
END = "<!-- validation: end -->"

SCHEMA_VERSION = 1

CELLS_MOST = 16
"""Of more cells only what they come to is told; every figure is in the files of data."""


def to_text(assessment: Assessment, quiet: bool = False) -> str:
    """The tables of a terminal: the cells, if they are few, and what they come to."""
    style, width = style_for(sys.stdout), width_for(sys.stdout)
    few = len(assessment.validation.comparisons) <= CELLS_MOST
    tables = [*(cell_tables(assessment) if few and not quiet else ()), *summary_tables(assessment)]
    blocks = [lay_out(table, style, width) for table in tables]
    blocks.append([line for text in sentences(assessment) for line in paragraph(text, width)])
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def to_markdown(assessment: Assessment) -> str:
    """What it comes to first, then the cells, if they are few."""
    parts = ["\n".join(f"- {escaped(text)}" for text in sentences(assessment))]
    few = len(assessment.validation.comparisons) <= CELLS_MOST
    cells = cell_tables(assessment) if few else ()
    parts += map(markdown_table, [*summary_tables(assessment), *cells])
    return "\n\n".join(parts) + "\n"


def to_csv(assessment: Assessment) -> str:
    """One line for each figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        (
            *("scenario", "runtime", "model", "load", "rate_per_s", "metric"),
            *("measured", "measured_low", "measured_high", "measured_n"),
            *("simulated", "simulated_low", "simulated_high", "simulated_n"),
            *("error", "relative_error", "allowed", "not_scored"),
        )
    )
    for figure in assessment.scored.figures:
        comparison, real, simulated = figure.comparison, figure.measured, figure.simulated
        writer.writerow(
            (
                inert(comparison.cell.scenario.name),
                comparison.scenario.machine.runtime,
                inert(comparison.cell.model),
                comparison.cell.load,
                getattr(comparison.scenario.workload.options, "rate", None),
                figure.metric,
                *(real.mean, real.low, real.high, real.n),
                *(simulated.mean, simulated.low, simulated.high, simulated.n),
                *(figure.error, figure.relative_error, figure.allowed, figure.unscored),
            )
        )
    return text.getvalue()


def to_json(assessment: Assessment) -> str:
    """The document, indented, in ASCII; never NaN or Infinity."""
    return json.dumps(to_document(assessment), allow_nan=False, indent=2) + "\n"


def to_document(assessment: Assessment) -> dict[str, Any]:
    """Everything as plain data."""
    from iosim import __version__

    validation = assessment.validation
    return {
        "schema_version": SCHEMA_VERSION,
        "iosim_version": __version__,
        "profile": validation.profile.name,
        "profile_sha256": validation.profile.sha256,
        "interrupted": validation.interrupted,
        "cells_missing": validation.missing,
        "within_tolerance": assessment.scored.is_reached,
        "sentences": sentences(assessment),
        "verdicts": [
            {**vars(verdict), "reached": verdict.is_reached}
            for verdict in assessment.scored.verdicts()
        ],
        "orders": [_order(order) for order in assessment.orders],
        "formula": [_contest(contest) for contest in assessment.contests],
        "explanations": [
            {
                "cell": found.cell,
                "errors_of_allowed": dict(found.errors),
                "named": found.named.mechanism if found.named else None,
                "tried": [vars(explanation) for explanation in found.explanations],
            }
            for found in assessment.attributions
        ],
        "cells": [_cell(assessment, comparison) for comparison in validation.comparisons],
    }


def _cell(assessment: Assessment, comparison: Comparison) -> dict[str, Any]:
    scenario = comparison.scenario
    return {
        "name": comparison.cell.name,
        "runtime": scenario.machine.runtime,
        "model": comparison.cell.model,
        "load": str(comparison.cell.load),
        "rate_per_s": getattr(scenario.workload.options, "rate", None),
        "scenario": scenario.to_data(),
        "error": comparison.error,
        "measured_on": dict(comparison.measured.about),
        "disturbed": [list(names) for names in comparison.measured.disturbed],
        "figures": [
            {
                "metric": figure.metric,
                "measured": _estimate(figure.measured),
                "simulated": _estimate(figure.simulated),
                "error": figure.error,
                "relative_error": figure.relative_error,
                "allowed": figure.allowed,
                "real_runs_differ_by": figure.differ,
                "not_scored": figure.unscored,
            }
            for figure in assessment.scored.figures
            if figure.comparison is comparison
        ],
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {"mean": estimate.mean, "ci95": [estimate.low, estimate.high], "n": estimate.n}


def _order(order: Order) -> dict[str, Any]:
    return {
        "metric": order.metric,
        "pairs": order.pairs,
        "wrong": [[figure.comparison.cell.name for figure in pair] for pair in order.wrong],
    }


def _contest(contest: Contest) -> dict[str, Any]:
    return {**vars(contest), "nearer": "simulator" if contest.is_won else "formula"}


# -------------------------------------------------------------------------------- files

TEXTS: Mapping[str, Callable[[Assessment], str]] = {
    ".md": to_markdown,
    ".csv": to_csv,
    ".json": to_json,
}


def require_writable(paths: Iterable[Path]) -> None:
    """Raise UsageError, before anything runs, for files that could not be written after it."""
    known = (*TEXTS, *PICTURES)
    wrong = []
    for path in paths:
        extension = path.suffix.lower()
        if extension not in known:
            hint = did_you_mean(extension, known)
            wrong.append(
                f"--export {path}: expected a file that ends in one of {', '.join(known)}, found "
                f"'{path.suffix}'" + (f"; {hint}" if hint else "")
            )
            continue
        try:
            Export.writable("--export", path)
            if extension in PICTURES:
                _require_matplotlib(path)
        except UsageError as error:
            wrong.append(str(error))
    if wrong:
        raise UsageError("\n".join(wrong))


def _require_matplotlib(path: Path) -> None:
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise UsageError(f"--export {path}: needs matplotlib: pip install 'iosim[plot]'")


def write_all(assessment: Assessment, paths: Iterable[Path]) -> None:
    """Write each file. Raises UsageError. Where nothing was compared, files stay as they are."""
    if not assessment.validation.comparisons:
        return
    for path in paths:
        extension = path.suffix.lower()
        if extension in PICTURES:
            draw(assessment, path)
            continue
        text = TEXTS[extension](assessment)
        write_atomically(path, _within(path, text) if extension == ".md" else text)


def _within(path: Path, text: str) -> str:
    """The page that is there with `text` between its marks; where it has none, `text` alone."""
    try:
        page = path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, ValueError) as error:
        raise UsageError(f"--export {path}: cannot be read: {error}") from None
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        return text
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"
