"""Results on stdout and in files, and the exit code that they mean."""

import sys
from typing import TYPE_CHECKING

from iosim.cli.frame import FAILED, INCONCLUSIVE, INTERRUPTED
from iosim.cli.output import say, tell, tell_warnings

if TYPE_CHECKING:
    from iosim.report.export import Export
    from iosim.results import Results


def show(results: "Results", exports: "list[Export]", json: bool, quiet: bool) -> int:
    """Print results and write them to files; the exit code."""
    from iosim.report.export import to_json, write_all

    warn(results, errors=json)
    try:
        say(to_json(results) if json else _tables(results, quiet))
    finally:
        write_all(exports, results)
    return _exit_code(results)


def warn(results: "Results", errors: bool) -> None:
    """Tell what to know before trusting the numbers; and the models' errors, if asked for."""
    from iosim.report.layout import paragraph, width_for

    tell_warnings(results.warnings)
    for model in results.models:
        told = [f"warning: {model.label}: {warning}" for warning in model.warnings]
        if errors and model.error:
            told.append(f"error: {model.error}")
        for text in told:
            tell("\n".join(paragraph(text, width_for(sys.stderr))))


def _tables(results: "Results", quiet: bool) -> str:
    from iosim.report.finding import findings
    from iosim.report.layout import lay_out, paragraph, style_for, width_for
    from iosim.report.summary import describe, ending_lines
    from iosim.report.table import main_table, saturation, tables

    style, width = style_for(sys.stdout), width_for(sys.stdout)
    blocks = [[style.strong(results.scenario.name), *describe(results.scenario, results.profile)]]
    if quiet:
        shown = [*saturation(results)] or [main_table(results)]
        blocks = [lay_out(table, style, width) for table in shown]
    else:
        blocks += [lay_out(table, style, width) for table in tables(results)]
    blocks.append(ending_lines(results, style))
    if not quiet:
        blocks.append([line for sentence in findings(results) for line in paragraph(sentence)])
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _exit_code(results: "Results") -> int:
    verdicts = {verdict for model in results.models for verdict in model.verdicts.values()}
    if results.interrupted:
        return INTERRUPTED
    if any(model.error for model in results.models):
        return 1
    if "fail" in verdicts:
        return FAILED
    return INCONCLUSIVE if "inconclusive" in verdicts else 0
