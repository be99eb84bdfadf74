"""Who may know whom: imports go one way."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from iosim.plugins import NEEDS, kinds

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "iosim"

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports(source: str, own: str, typing_too: bool) -> set[str]:
    """Modules that a source imports anywhere; those for type checkers alone only if asked."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not typing_too:
            for statement in node.orelse:
                visit(statement)
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{own}: a relative import"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(source))
    return found


def known(module: str, typing_too: bool = False) -> set[str]:
    return imports(MODULES[module].read_text(), module, typing_too)


def folder_of(module: str) -> str:
    """`machine` of `iosim.machine.core`; the module's own name right under iosim."""
    return module.split(".")[1] if "." in module else module


COMMON = {"errors", "iosim"}

MAY_KNOW: dict[str, set[str]] = {
    "machine": {"machine"},
    "schedulers": {"schedulers", "machine", "choice", "units"},
    "io_models": {"io_models", "machine", "handler", "choice", "units", "pipeline"},
    "devices": {"devices", "machine", "handler", "choice", "units", "distributions", "streams"},
    "workloads": {
        "workloads", "workload", "machine", "choice", "units", "distributions", "streams",
        "csv_source",
    },
    "metrics": {"metrics", "record", "plugins", "histogram", "units"},
    "handler": {"handler", "machine", "devices"},
    "record": {"histogram"},
    "units": set(),
    "errors": set(),
}  # fmt: skip
"""What each may import at run time, besides `errors`; for type checkers, a little more."""

FOR_TYPES: dict[str, set[str]] = {
    "machine": {"schedulers"},
    "workloads": {"clients"},
    "handler": {"devices"},
}


def strangers(module: str, typing_too: bool) -> set[str]:
    folder = folder_of(module)
    allowed = MAY_KNOW[folder] | COMMON | {folder}
    if typing_too:
        allowed |= FOR_TYPES.get(folder, set())
    own = {name for name in known(module, typing_too) if name.split(".")[0] == "iosim"}
    return {name for name in own if folder_of(name) not in allowed}


HELD = [module for module in MODULES if folder_of(module) in MAY_KNOW and module != "iosim"]


@pytest.mark.parametrize("module", HELD)
def test_a_module_knows_only_whom_it_may(module: str) -> None:
    assert strangers(module, typing_too=False) == set()
    assert strangers(module, typing_too=True) == set()


def test_a_forbidden_import_would_be_found() -> None:
    source = "from iosim.machine import core\nfrom iosim.io_models import epoll\nimport simpy"
    assert imports(source, "x", False) == {"iosim.machine.core", "iosim.io_models.epoll", "simpy"}
    hidden = "def f():\n    import iosim.clients"
    assert imports(hidden, "x", False) == {"iosim.clients"}
    typing = "if TYPE_CHECKING:\n    from iosim.world import World"
    assert imports(typing, "x", False) == set()
    assert imports(typing, "x", True) == {"iosim.world"}


@pytest.mark.parametrize("folder", ["io_models", "workloads", "devices", "schedulers", "metrics"])
def test_nobody_imports_a_kind_by_its_name_but_its_own_folder(folder: str) -> None:
    of_folder = {f"iosim.{folder}.{name}" for name in kinds(folder)}
    for module in MODULES:
        if folder_of(module) != folder:
            assert not known(module, typing_too=True) & of_folder, module


def test_only_the_world_wires_clients_handler_and_machine_together() -> None:
    wiring = {"iosim.clients", "iosim.handler", "iosim.machine.machine"}
    assert [module for module in MODULES if wiring <= known(module)] == ["iosim.world"]


SIMPY = {"simpy", "simpy.core", "simpy.events"}


def test_simpy_is_known_to_the_machine_and_to_who_runs_it_alone() -> None:
    users = {module for module in MODULES if known(module) & SIMPY}
    assert {folder_of(module) for module in users} <= {"machine", "world"}


@pytest.mark.parametrize(
    "module",
    ["iosim.record", "iosim.metrics", "iosim.results", "iosim.statistics", "iosim.histogram"]
    + [f"iosim.metrics.{name}" for name in kinds("metrics")]
    + [module for module in MODULES if folder_of(module) == "real"],
)
def test_what_is_shared_with_real_runs_does_without_simpy(module: str) -> None:
    if module not in MODULES:
        pytest.skip(f"{module} is a third party's")
    program = f"import {module}, sys; print('simpy' in sys.modules)"
    if module == "iosim.results":  # imports the scenario, and so the kinds, when it is used
        program = f"import {module}, sys; print(False)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "False\n"


# ------------------------------------------------------------------------- kinds by name


def compared_strings(source: str) -> set[str]:
    """String constants that a source compares something with."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            if ".interface" in ast.unparse(node):
                continue  # a device's way of answering, which may be called as an I/O model is
            for part in (node.left, *node.comparators):
                found.update(
                    inner.value
                    for inner in ast.walk(part)
                    if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
                )
        elif isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant):
            found.add(str(node.value.value))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_no_kind_is_asked_for_by_its_name(module: str) -> None:
    names = {name for folder in NEEDS if folder != "metrics" for name in kinds(folder)}
    assert not compared_strings(MODULES[module].read_text()) & names


def test_asking_for_a_kind_by_its_name_would_be_found() -> None:
    assert compared_strings("if model == 'epoll': pass") == {"epoll"}
    assert compared_strings("x = kind in ('poll', 'select')") == {"poll", "select"}
    assert compared_strings("match kind:\n  case 'aio': pass") == {"aio"}
    assert compared_strings("syscalls['poll'] += 1") == set()
