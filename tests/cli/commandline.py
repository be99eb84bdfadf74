"""What the tests of the command line share: tiny scenarios, and a way to call it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from iosim.cli import app

TINY = """\
machine: {cores: 2}
devices:
  db: {remote: {latency: 100us, concurrency: 4}}
server:
  handler: [{cpu: 10us}, {call: db}, {cpu: 5us}]
workload:
  open: {rate: 10k/s, connections: {total: 8}}
models: [blocking, epoll, {coroutine: {label: coro}}]
run: {duration: 20ms, replications: 2}
"""

PIPELINE = """\
workload:
  producer_consumer: {produce: {exponential: 10us}, consume: {exponential: 8us}}
models: [coroutines, threads]
run: {duration: 10ms, replications: 2}
"""

DEADLOCK = """\
machine: {cores: 2}
workload:
  producer_consumer:
    {produce: {exponential: 10us}, consume: {exponential: 8us}, producers: 2, consumers: 2}
models: [{threads: {second_lock: misordered, label: misordered}}, coroutines]
run: {duration: 20ms, replications: 2}
"""


@dataclass(frozen=True)
class Outcome:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` printed; refuses what JSON does not have."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        parsed: dict[str, Any] = json.loads(self.out, parse_constant=refuse)
        return parsed

    def metrics(self, label: str) -> dict[str, Any]:
        """The metrics of one model in the document."""
        (found,) = [m["metrics"] for m in self.document["models"] if m["label"] == label]
        metrics: dict[str, Any] = found
        return metrics


def iosim(*args: object, stdin: str | None = None) -> Outcome:
    """Call the command in this process: `iosim("run", "-", "--json", stdin=TINY)`."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)
    # What is no iosim error must show as what it is.
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def run(text: str, *args: object) -> Outcome:
    """`iosim run` of a scenario's text, on one core."""
    return iosim("run", "-", "--jobs", 1, *args, stdin=text)


def start(*args: object, **how: Any) -> "subprocess.Popen[bytes]":
    """Start the command in a process of its own; `env` is added to what it inherits."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), **how.pop("env", {})}
    command = [sys.executable, "-m", "iosim", *map(str, args)]
    return subprocess.Popen(command, env=environment, **how)
