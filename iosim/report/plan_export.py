"""A plan as files: the JSON document, a CSV of every load tried, Markdown, a picture.

    plan.json    the document that `iosim plan --json` prints
    plan.csv     model, setting, load, verdict, replications, metric, mean, low, high, unit
    plan.md      the tables of the terminal, and the sentences
    plan.png     response time against load, with the knee marked; plan.svg the same

Scope: which format it is, the name's extension says.
Validated by: tests/cli/test_plan_command.py
"""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iosim.errors import UsageError, did_you_mean
from iosim.report.export import Export, escaped, inert, markdown_table, write_atomically

if TYPE_CHECKING:
    from iosim.studies.planning import Plan


def to_json(plan: "Plan") -> str:
    """The document, indented, in ASCII; never NaN or Infinity."""
    return json.dumps(plan.to_document(), allow_nan=False, indent=2) + "\n"


def to_csv(plan: "Plan") -> str:
    """One line for each model, load or setting, and metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = "model setting load verdict replications metric mean low high unit"
    writer.writerow(heads.split())
    for model in plan.to_document()["models"]:
        for probe in (*model["probes"], *model.get("settings", ())):
            setting = " ".join(f"{path}={v}" for path, v in probe.get("setting", {}).items())
            for name, found in probe["metrics"].items():
                writer.writerow(
                    (
                        inert(model["label"]),
                        inert(setting),
                        probe["load"],
                        probe["verdict"],
                        probe["replications"],
                        inert(name),
                        found["mean"],
                        *found["ci95"],
                        found["unit"],
                    )
                )
    return text.getvalue()


def to_markdown(plan: "Plan") -> str:
    """All tables, under a heading of the scenario's name, and the sentences."""
    from iosim.report.plan import headline, sentences, tables
    from iosim.report.summary import describe

    described = describe(plan.scenario, plan.profile)
    parts = [f"# {escaped(plan.scenario.name)}"]
    parts.append("\n".join(f"    {line}" for line in described))
    parts.append(escaped(headline(plan)))
    parts += [markdown_table(table) for table in tables(plan)]
    parts += [escaped(sentence) for sentence in sentences(plan)]
    return "\n\n".join(parts) + "\n"


def _picture(form: str) -> "Callable[[Plan], bytes]":
    def drawn(plan: "Plan") -> bytes:
        from iosim.report.knee import picture

        return picture(plan, form)

    return drawn


FORMATS: "Mapping[str, Callable[[Plan], str | bytes]]" = {
    ".json": to_json,
    ".csv": to_csv,
    ".md": to_markdown,
    ".png": _picture("png"),
    ".svg": _picture("svg"),
}


@dataclass(frozen=True)
class PlanExport:
    """A file to write, known to be writable."""

    path: Path
    write_as: "Callable[[Plan], str | bytes]"

    @classmethod
    def to(cls, path: Path) -> "PlanExport":
        """An export to `path`. Raises UsageError if it could not be written."""
        extension = path.suffix.lower()
        if extension not in FORMATS:
            hint = did_you_mean(extension, FORMATS)
            raise UsageError(
                f"--export {path}: expected a file that ends in one of {', '.join(FORMATS)}, found "
                f"'{path.suffix}'" + (f"; {hint}" if hint else "")
            )
        Export.writable("--export", path)
        return cls(path, FORMATS[extension])

    def write(self, plan: "Plan") -> None:
        """Write the file. Raises UsageError if that fails after all."""
        write_atomically(self.path, self.write_as(plan))
