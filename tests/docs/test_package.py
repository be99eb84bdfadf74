"""The package as it is installed: what it says of itself holds."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {"PyYAML": "yaml"}
"""What a distribution is imported as, where that is not its name."""


def imported() -> set[str]:
    """Top-level names that iosim's own files import."""
    found = set()
    for path in (ROOT / "iosim").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def test_types_are_shipped_as_the_classifier_says() -> None:
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert (ROOT / "iosim" / "py.typed").is_file()


def test_every_dependency_is_imported_and_no_other_is() -> None:
    names = {text.partition(">=")[0] for text in PROJECT["dependencies"]}
    modules = {MODULES.get(name, name) for name in names}
    assert modules <= imported()
    development = {text.partition(">=")[0] for text in PROJECT["optional-dependencies"]["dev"]}
    assert not development & imported()
