"""What a command says: data on stdout; progress, warnings and errors on stderr."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EBADF
from typing import TYPE_CHECKING

from iosim.errors import IosimError

if TYPE_CHECKING:
    from iosim.simulation import Progress

RARELY_S = 30


def tell(text: str) -> None:
    """Write a line to stderr."""
    if sys.stderr is not None:  # closed by `2>&-`
        sys.stderr.write(f"{text}\n")


def say(text: str) -> None:
    """Write to stdout. Raises IosimError if that fails; a reader who has left is no failure."""
    try:
        if sys.stdout is None:  # closed by `>&-`
            raise OSError(EBADF, "it is closed")
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        if sys.stdout is not None:  # what is left of the text must not be tried again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `| head` has seen enough
            raise IosimError(f"standard output: cannot be written: {error.strerror}") from None


def tell_warnings(warnings: Iterable[str]) -> None:
    """Write each to stderr, as a paragraph of its own."""
    from iosim.report.layout import paragraph, width_for

    for warning in warnings:
        tell("\n".join(paragraph(f"warning: {warning}", width_for(sys.stderr))))


@contextmanager
def progress_of(quiet: bool, doing: str, unit: str = "runs") -> "Iterator[Progress | None]":
    """A bar on stderr while runs go on; where it is no terminal, a line now and then."""
    if quiet or sys.stderr is None:
        yield None
        return
    if not sys.stderr.isatty():
        yield _now_and_then(unit)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


def _now_and_then(unit: str) -> "Progress":
    """Progress in lines, the first after `RARELY_S`: a log should show that a long run lives."""
    from time import monotonic

    told_s = monotonic()

    def show(done: int, total: int) -> None:
        nonlocal told_s
        if monotonic() - told_s >= RARELY_S:
            told_s = monotonic()
            tell(f"{done} of {total} {unit} done")

    return show
