"""What a terminal shows while runs go on: a bar, or with `--live` the percentiles as they narrow.

Both are drawn on stderr, and only if that is a terminal that can draw; else there is a line now
and then.

Validated by: tests/cli/test_live.py
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from iosim.cli.output import progress_of

if TYPE_CHECKING:
    from iosim.results import Results
    from iosim.simulation import Progress, Watch

REDRAWN_S = 0.25
"""Not more often: what is known so far takes time to work out."""


@contextmanager
def watching(live: bool, quiet: bool) -> "Iterator[tuple[Progress | None, Watch | None]]":
    """What `simulate` is to tell of its progress, and of its results so far."""
    if quiet or not (live and _can_draw()):
        with progress_of(quiet, "simulating") as progress:
            yield progress, None
        return
    with _drawn() as watch:
        yield None, watch


def _can_draw() -> bool:
    from rich.console import Console

    if sys.stderr is None:
        return False
    console = Console(stderr=True)
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def _drawn() -> "Iterator[Watch]":
    from time import monotonic

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from iosim.report.layout import lay_out, style_for
    from iosim.report.live import so_far

    console, style = Console(stderr=True), style_for(sys.stderr)
    drawn_s = monotonic() - REDRAWN_S
    # Gone at the end, when the tables come.
    first = Text("simulating")
    with Live(first, console=console, transient=True, auto_refresh=False) as live:

        def watch(done: int, total: int, known: "Callable[[], Results]") -> None:
            nonlocal drawn_s
            if done < total and monotonic() - drawn_s < REDRAWN_S:
                return
            lines = lay_out(so_far(known(), total), style, console.width)
            text = Text.from_ansi("\n".join(lines), no_wrap=True, overflow="ellipsis")
            live.update(text, refresh=True)
            drawn_s = monotonic()

        yield watch
