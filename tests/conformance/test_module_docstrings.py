"""Every module says what it does, what it leaves out, and which tests hold it to that."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "iosim").rglob("*.py"))


def docstring(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text, "no docstring"
    return text.replace("*", "")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "iosim"))


def in_folder(*folders: str) -> list[Path]:
    return [path for path in MODULES if path.parent.name in folders]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_in_a_line_what_it_is(path: Path) -> None:
    first = docstring(path).splitlines()[0]
    assert 10 < len(first) <= 100
    assert first.rstrip().endswith((".", ":", ",", ";")) or len(docstring(path).splitlines()) > 1


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name not in ("__init__.py", "__main__.py")], ids=name
)
def test_a_module_names_the_tests_that_hold_it_to_its_word(path: Path) -> None:
    text = docstring(path)
    if path.parent.name in ("cli", "metrics"):
        return  # they are all held by the same, which their folder names
    assert "Validated by" in text
    if path.name == "clock.py":
        return  # every test
    named = re.findall(r"tests/[\w/]+(?:\.py)?", text.split("Validated by", 1)[1])
    assert named
    for each in named:
        assert (ROOT / each).exists(), each


@pytest.mark.parametrize(
    "path",
    [path for path in in_folder("machine", "devices", "schedulers") if path.name != "__init__.py"],
    ids=name,
)
def test_a_model_of_the_machine_says_what_it_leaves_out(path: Path) -> None:
    if path.name in ("agenda.py", "clock.py", "trace.py"):
        return  # no model of anything
    assert "Not modelled" in docstring(path)


@pytest.mark.parametrize("path", in_folder("io_models", "schedulers"), ids=name)
def test_a_kind_of_the_literature_gives_its_source(path: Path) -> None:
    if path.name != "__init__.py":
        assert "Source:" in docstring(path)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_nothing_is_left_to_do(path: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text())
    assert not re.search(r"^\s*print\(", path.read_text(), re.MULTILINE)
