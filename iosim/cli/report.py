"""`iosim report`: results as one page."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from iosim.cli.frame import command
from iosim.cli.output import say


@command(examples=["iosim report before.json -o report.html"])
def report(
    result: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT...", help="Files that `iosim run --export` wrote (.json)."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The page; replaced if it exists."),
    ] = Path("report.html"),
    timeline: Annotated[
        bool,
        typer.Option("--timeline/--no-timeline", help="Watch single requests again, step by step."),
    ] = True,
) -> int:
    """Write results as one page of HTML that needs nothing else."""
    from iosim.documents import read_all
    from iosim.report.export import Export, write_atomically
    from iosim.report.html.page import page

    Export.writable("-o", output)
    documents = read_all(result)
    gc.enable()
    text = page(documents, timeline=timeline)
    write_atomically(output, text)
    say(f"{output}: {len(text.encode()) / 1000:,.0f} kB")
    return 0
