"""The help: each command ends it with examples, which work in the order that they stand in.

As the documentation's commands (tests/docs/test_readme.py): durations are cut short.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from test_readme import call

from iosim.cli import app

TINY = """\
machine: {cores: 2}
devices:
  db: {remote: {latency: 100us, concurrency: 4}}
server:
  handler: [{cpu: 10us}, {call: db}]
workload:
  open: {rate: 10k/s, connections: {total: 8}}
models: [blocking, epoll]
run: {duration: 5ms, replications: 2}
"""
SLOW = ("iosim calibrate", "iosim validate", "iosim measure")
"""Minutes, or a compiler and two cores: they are parsed, and the documentation's tests run them."""


def commands(command: Any, path: str = "iosim") -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", {})
    for name, each in inner.items():
        yield from commands(each, f"{path} {name}")
    if not inner:
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(app)))


def examples(path: str) -> list[str]:
    _, _, shown = (COMMANDS[path].epilog or "").partition("Examples:\n")
    return [line.strip() for line in shown.splitlines()]


@pytest.mark.parametrize("path", COMMANDS)
def test_each_command_has_examples_that_fit_a_terminal(path: str) -> None:
    lines = examples(path)
    assert lines
    for line in lines:
        assert line.startswith(path)
        assert len(line) < 78


@pytest.mark.parametrize("path", COMMANDS)
def test_every_example_works(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if path != "iosim init":
        Path("my.yaml").write_text(TINY, encoding="utf-8")
    if any(".json" in line.split("--export")[0] for line in examples(path)):
        for name in ("before", "after"):
            call(f"iosim run my.yaml --export {name}.json")
    for line in examples(path):
        if line.startswith(SLOW):
            arguments = line.split()[2:]
            COMMANDS[path].make_context(path, arguments)  # raises, of an unknown option
        else:
            call(line.partition(" > ")[0])
