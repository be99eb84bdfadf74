"""`iosim list`: what there is to choose from."""

from typing import Annotated

import typer

from iosim.cli.frame import command
from iosim.cli.output import say


@command(
    "list",
    examples=[
        "iosim list models",
        "iosim list models epoll",
        "iosim list profiles reference idle_exit",
    ],
)
def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[WHAT]", help="models, devices, workloads, schedulers, profiles or metrics."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One of them: its options; or a profile's file."),
    ] = None,
    cost: Annotated[
        str | None, typer.Argument(metavar="[COST]", help="Of a profile: all about one cost.")
    ] = None,
) -> int:
    """List what there is to choose from, the options of one kind, or a profile's costs."""
    from iosim.report.catalogue import listing, options, overview

    if what is None:
        say(overview())
    else:
        say(listing(what) if name is None else options(what, name, cost))
    return 0
