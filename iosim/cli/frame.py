"""The command line's frame: its options, how a command is added, and how it ends."""

import functools
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Annotated, ParamSpec

import typer

from iosim.cli.output import say, tell
from iosim.errors import IosimError

FAILED = 3
INCONCLUSIVE = 4
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

P = ParamSpec("P")

app = typer.Typer(
    help="Simulate I/O models: what each costs, on one workload and one machine.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich is slow to import, and plain help reads well
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line and exit."""
    # Two habits that take a fifth of the start-up: collecting garbage while modules load (`run`
    # turns it on again), and pydantic's search of all installed packages for plug-ins of its own.
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    signal.signal(signal.SIGTERM, _on_sigterm)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal of ASCII has no '±'
    app(prog_name="iosim")


_terminated: list[int] = []
"""Not empty once SIGTERM has come."""


def _on_sigterm(number: int, _: object) -> None:
    """End as after Ctrl-C: show what has finished, and leave no process behind."""
    _terminated.append(number)
    raise KeyboardInterrupt


def command(
    name: str | None = None, to: typer.Typer = app, *, examples: Sequence[str]
) -> Callable[[Callable[P, int]], Callable[P, None]]:
    """Add a command that exits with the code its function returns; what iosim refuses is told.

    `examples` are command lines that its help ends with.
    """

    def added(function: Callable[P, int]) -> Callable[P, None]:
        ended = _ended(function)
        # The mark keeps lines as they are.
        epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)])
        to.command(name, epilog=epilog)(ended)
        return ended

    return added


def group(name: str, about: str) -> typer.Typer:
    """Add a command that has commands of its own, which `command(to=...)` adds."""
    own = typer.Typer(help=about, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(own, name=name)
    return own


def _ended(function: Callable[P, int]) -> Callable[P, None]:
    @functools.wraps(function)
    def ended(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
        except IosimError as error:
            tell(str(error))
            code = error.exit_code
        except KeyboardInterrupt:
            tell("terminated" if _terminated else "interrupted")
            code = INTERRUPTED
        if code == INTERRUPTED and _terminated:
            code = TERMINATED
        raise typer.Exit(code)

    return ended


@_ended
def _say_version() -> int:
    from iosim import __version__

    say(f"iosim {__version__}")
    return 0


def _version(wanted: bool) -> None:
    if wanted:
        _say_version()


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass
