"""Progress of studies on stderr: points done, failed, left, and the time left.

Validated by: tests/cli/test_sweep_command.py
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from iosim.cli.output import RARELY_S, tell

if TYPE_CHECKING:
    from iosim.studies.swept import Progress, Standing


@contextmanager
def progress_of_points(quiet: bool) -> "Iterator[Progress | None]":
    """A bar on stderr while points are run; where it is no terminal, a line now and then."""
    if quiet or sys.stderr is None:
        yield None
        return
    if not sys.stderr.isatty():
        yield _now_and_then()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("sweeping"), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        started_s = monotonic()

        def show(now: "Standing") -> None:
            bar.update(
                task,
                completed=now.done + now.kept,
                total=now.done + now.kept + now.left,
                description=in_words(now, monotonic() - started_s),
            )

        yield show


def _now_and_then() -> "Progress":
    started_s = told_s = monotonic()

    def show(now: "Standing") -> None:
        nonlocal told_s
        if monotonic() - told_s >= RARELY_S:
            told_s = monotonic()
            tell(in_words(now, told_s - started_s))

    return show


def in_words(now: "Standing", passed_s: float) -> str:
    """`40 done, 1 failed, 60 left, about 3 min`: at the pace since the start."""
    told = [f"{now.done + now.kept:,} done"]
    told += [f"{now.failed:,} failed"] if now.failed else []
    told.append(f"{now.left:,} left")
    if now.left and now.done:
        told.append(f"about {_roughly(passed_s / now.done * now.left)}")
    return ", ".join(told)


def _roughly(seconds: float) -> str:
    for unit, unit_s in (("h", 3600), ("min", 60)):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
