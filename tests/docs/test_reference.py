"""The generated reference: nothing that can be chosen, typed or measured is missing in it."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "_ext"))

from kinds_pages import sections  # noqa: E402
from reference import PAGES, write  # noqa: E402

from iosim.cli import COMMANDS  # noqa: E402
from iosim.plugins import kinds  # noqa: E402
from iosim.profile import load as load_profile  # noqa: E402


def made(page: str) -> str:
    return "\n".join(PAGES[page]())


def test_every_command_is_there_with_its_examples() -> None:
    text = made("commands")
    for name in COMMANDS:
        assert f"## iosim {name.replace('_', '-')}\n" in text
    assert "## iosim profile diff\n" in text
    assert text.count("Examples:") == len(re.findall("^## iosim", text, re.MULTILINE)) - 1


def test_every_metric_and_cost_is_there() -> None:
    text = made("metrics")
    for family in kinds("metrics").values():
        for name, metric in family.NAMES.items():
            assert f"| `{name}` | {metric.unit} |" in text
    text = made("costs")
    for name, entry in load_profile("reference").entries.items():
        assert f"| `{name}` |" in text
        assert entry.how in text


def test_every_option_is_there_with_its_default() -> None:
    text = made("scenario")
    assert "| `machine.cores` | e.g. 10k | 1 |" in text
    for folder in ("io_models", "devices", "workloads", "schedulers"):
        for name, module in kinds(folder).items():
            section = text.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
            for option in module.Options.model_fields:
                assert f"| `{option}" in section, (name, option)


@pytest.mark.parametrize("folder", ["io_models", "devices", "workloads", "schedulers"])
def test_every_kind_has_its_references_and_validation(folder: str) -> None:
    text = made(folder.replace("_", "-"))
    for name in kinds(folder):
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert "**Validation**" in section, name
        if folder == "io_models":
            assert "```text" in section, name
            assert "**References**" in section, name


def test_a_docstring_becomes_drawings_and_headings() -> None:
    docstring = "What.\n\n    a -> b\n\n    c\n\nMore <x>.\nNot modelled: y,\nz.\nSource: `<`."
    text = "\n".join(sections(docstring))
    assert "```text\na -> b\n\nc\n```" in text
    assert "More &lt;x>." in text
    assert "**Scope and limitations**\n\nNot modelled: y,\nz.\n" in text
    assert "**References**\n\n`<`." in text


@pytest.mark.parametrize("page", ["scenario", "metrics", "costs"])
def test_no_cell_breaks_its_table(page: str) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", made(page) + "\n", re.MULTILINE)
    assert tables
    for table in tables:
        columns = {row.replace("\\|", "").count("|") for row in table.splitlines()}
        assert len(columns) == 1, table


def test_a_page_that_has_not_changed_is_left_alone(tmp_path: Path) -> None:
    (first, *_) = write(tmp_path)
    before = first.stat().st_mtime_ns
    write(tmp_path)
    assert first.stat().st_mtime_ns == before
