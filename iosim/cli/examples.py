"""`iosim examples`: the shipped scenarios, listed or copied out."""

from pathlib import Path
from typing import Annotated

import typer

from iosim.cli.frame import command
from iosim.cli.output import say, tell


@command(examples=["iosim examples", "iosim examples quickstart", "iosim examples -o scenarios"])
def examples(
    name: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Scenarios to copy; default with -o: all."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Copy into it; default: here."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
) -> int:
    """List the shipped scenarios, or copy them out."""
    from iosim.report.catalogue import shipped

    if name or output is not None:
        from iosim.examples import copy

        copied = copy(name or [], output or Path(), force)
        say("".join(f"{path}\n" for path in copied))
        tell(f"try: iosim run {copied[0]}")
    else:
        say(shipped())
    return 0
