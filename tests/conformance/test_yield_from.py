"""A forgotten `yield from` does nothing at all, so it is looked for.

Whatever a thread's program calls and may take simulated time has to be yielded from, returned,
or handed to what does that: never left standing, stored or compared.
"""

import ast
import inspect
from pathlib import Path

import pytest

from iosim.handler import Jobs, OwnWork, Server
from iosim.machine.interpreter import CPythonKernel, InterpreterLock
from iosim.machine.kernel import Kernel
from iosim.plugins import kinds

ROOT = Path(__file__).parents[2]

PROGRAMS = sorted(
    [
        *(ROOT / "iosim" / "machine").glob("*.py"),
        *(ROOT / "iosim" / "io_models").glob("*.py"),
        *(ROOT / "iosim" / "devices").glob("*.py"),
        ROOT / "iosim" / "handler.py",
        ROOT / "tests" / "plugin_package" / "iosim_one_by_one.py",
    ]
)

TIMED = ("Generator[", "Iterable[", "Program")


def takes_time(function: ast.FunctionDef) -> bool:
    """Whether calling it gives something to yield from, as its annotation says."""
    return function.returns is not None and ast.unparse(function.returns).startswith(TIMED)


def timed_functions(tree: ast.AST) -> set[str]:
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and takes_time(node)
    }


def _timed_methods(*classes: type) -> set[str]:
    names = set()
    for owner in classes:
        for name, function in inspect.getmembers(owner, inspect.isfunction):
            returns = str(function.__annotations__.get("return", ""))
            if returns.removeprefix("collections.abc.").startswith(TIMED):
                names.add(name)
    return names


KERNEL = _timed_methods(Kernel, CPythonKernel)
"""Calls of the kernel that may take time."""

OTHERS = _timed_methods(Jobs, OwnWork, Server, InterpreterLock)

GLOBAL = {"serve", "call", "exchange", "sleep", "multiplex"}
"""The handler's and other models' functions that are imported by name."""


def forgotten(source: str) -> list[str]:
    """Calls that may take time and stand where that cannot pass: `line: call`."""
    tree = ast.parse(source)
    local = timed_functions(tree)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not _may_take_time(node, local):
            continue
        if ast.unparse(node.func).startswith("super()") and not _in_a_kernel(node, parents):
            continue
        parent = parents[node]
        # `(yield from x)` and `return x`; an argument of something that yields from it; an
        # element of a list of coroutines.
        if isinstance(parent, ast.YieldFrom | ast.Return | ast.Call | ast.ListComp | ast.Lambda):
            continue
        found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def _in_a_kernel(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether it stands in a class that derives from the kernel."""
    while not isinstance(node, ast.ClassDef | ast.Module):
        node = parents[node]
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    return any(ast.unparse(base).endswith(("Kernel", "Calls")) for base in bases)


def _may_take_time(node: ast.Call, local: set[str]) -> bool:
    function = node.func
    if isinstance(function, ast.Name):
        return function.id in local | GLOBAL
    if not isinstance(function, ast.Attribute):
        return False
    receiver = ast.unparse(function.value)
    last = receiver.split(".")[-1]
    if last in ("kernel", "_kernel", "Kernel", "super()"):
        return function.attr in KERNEL
    if last == "self":
        return function.attr in local
    if last in ("jobs", "own_work", "server", "_server", "interpreter", "lock"):
        return function.attr in OTHERS
    if last in ("scheduler", "aio", "loop"):
        return function.attr in local
    return False


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_no_yield_from_is_forgotten(path: Path) -> None:
    assert forgotten(path.read_text()) == []


def test_the_calls_that_take_time_are_known() -> None:
    assert {
        "compute", "settle", "nanosleep", "accept4", "recvfrom", "sendto", "close", "connect",
        "epoll_create1", "epoll_ctl_add", "epoll_ctl_del", "epoll_wait", "select", "poll",
        "ask_each", "lock", "unlock", "cond_wait", "cond_signal", "sigaction", "sigqueue", "pause",
        "spawn", "eventfd", "eventfd_read", "eventfd_write", "sleep_on", "return_to_user",
        "pread64", "pwrite64", "fsync", "call_library",
    } <= KERNEL  # fmt: skip
    assert not KERNEL & {"wake", "undisturbed", "ask_ns", "switch_coroutine", "operate_queue"}
    assert {"do_chunk", "on_readable", "run_due", "connection_to", "take", "drop"} <= OTHERS


def test_every_own_model_is_looked_at() -> None:
    looked_at = {path.stem for path in PROGRAMS}
    own = {n for n, m in kinds("io_models").items() if m.__name__.startswith("iosim.")}
    assert own <= looked_at


MODEL = """
def main(kernel, server, options) -> Program:
    connection = yield from kernel.accept4(server.listener)
    while True:
        request = yield from kernel.recvfrom(connection)
        yield from serve(kernel, server, request)
        yield from kernel.sendto(connection, request, request.reply_bytes)
"""


def test_a_model_as_it_should_be() -> None:
    assert forgotten(MODEL) == []


@pytest.mark.parametrize(
    ("right", "wrong", "call"),
    [
        ("yield from kernel.sendto", "kernel.sendto", "7: kernel.sendto("),
        (
            "request = yield from kernel.recvfrom",
            "request = kernel.recvfrom",
            "5: kernel.recvfrom(",
        ),
        ("yield from serve(", "serve(", "6: serve("),
        ("yield from serve(", "yield serve(", "6: serve("),
        (
            "request = yield from kernel.recvfrom(connection)",
            "if kernel.recvfrom(connection): pass",
            "5: kernel.recvfrom(",
        ),
        (
            "request = yield from kernel.recvfrom(connection)",
            "for x in kernel.recvfrom(connection): pass",
            "5: kernel.recvfrom(",
        ),
        ("while True:", "own_work.do_chunk(kernel)\n    while True:", "4: own_work.do_chunk("),
        ("while True:", "helper()\n    while True:", "4: helper()"),
    ],
)
def test_a_broken_model_is_found(right: str, wrong: str, call: str) -> None:
    source = MODEL.replace(right, wrong, 1) + "\ndef helper() -> Program:\n    yield\n"
    assert source.count(wrong) >= 1
    (found,) = forgotten(source)
    assert found.startswith(call)
