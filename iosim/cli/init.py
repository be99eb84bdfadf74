"""`iosim init`: a commented scenario to start from."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from iosim.cli.frame import command
from iosim.cli.output import say, tell
from iosim.errors import UsageError


@command(examples=["iosim init my.yaml"])
def init(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; default: stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> int:
    """Write a commented scenario to start from."""
    text = (files("iosim") / "template.yaml").read_text(encoding="utf-8")
    if file is None:
        say(text)
        return 0
    from iosim.report.export import write_atomically

    if os.path.lexists(file) and not force:
        raise UsageError(f"{file} exists already (--force overwrites it)")
    write_atomically(file, text)
    tell(f"{file} written; try: iosim run {file}")
    return 0
