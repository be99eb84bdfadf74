"""The notebook: its cells run from the top, and it is kept without what they printed."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial" / "notebook.ipynb"
CELLS: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def test_it_is_kept_without_outputs() -> None:
    assert CODE
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)


def test_its_cells_run_from_the_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(CODE, 1):
        source = "".join(cell["source"]).replace('"100ms"', '"5ms"')
        exec(compile(source, f"{NOTEBOOK.name}, cell {number}", "exec"), names)
    assert "models:" in capsys.readouterr().out
    assert names["after"]["blocking"] > names["before"]["blocking"]
