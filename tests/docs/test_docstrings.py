"""Docstrings: none is missing, of tests and benchmarks neither, and the tests they name exist.

What the docstrings of iosim's modules must hold is in tests/conformance/test_module_docstrings.py.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    str(path.relative_to(ROOT)): path
    for folder in ("iosim", "tests", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
OURS = [name for name in MODULES if name.startswith("iosim/")]


def docstring(name: str) -> str:
    return ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8"))) or ""


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_in_one_line_what_it_does(name: str) -> None:
    first, _, rest = docstring(name).partition("\n")
    assert re.search(r"\w\W+\w", first), "no docstring"
    assert not rest or rest.startswith("\n") or not first.endswith("."), (
        "a blank line after the first"
    )


@pytest.mark.parametrize("name", OURS)
def test_the_tests_it_names_exist(name: str) -> None:
    text = MODULES[name].read_text(encoding="utf-8")
    for path in re.findall(r"\btests/[\w/]+(?:\.py)?", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", OURS)
def test_public_functions_and_classes_have_one(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and "overload" not in [ast.unparse(decorator) for decorator in node.decorator_list]
    ]
    # A family of metrics has one function, which its package describes for all of them.
    assert [each for each in bare if (name.split("/")[1], each) != ("metrics", "measure")] == []
