"""What the tests of sweeps share: a scenario of milliseconds."""

from pathlib import Path

SMALL = """\
machine: {cores: 2}
devices:
  db: {remote: {latency: 100us, concurrency: 4}}
server:
  handler: [{cpu: 10us}, {call: db}, {cpu: 5us}]
workload:
  open: {rate: 10k/s, connections: {total: 8}}
models: [blocking, {coroutine: {label: coro}}]
run: {duration: 5ms, replications: 2}
"""


def written(folder: Path, text: str = SMALL) -> Path:
    """The scenario as a file."""
    path = folder / "small.yaml"
    path.write_text(text)
    return path
