"""`iosim rerun`: repeat a result from its own provenance.

Validated by: tests/cli/test_study_commands.py
"""

import gc
from pathlib import Path
from typing import Annotated

import typer

from iosim.cli.answering import give
from iosim.cli.frame import FAILED, INCONCLUSIVE, INTERRUPTED, command
from iosim.cli.options import Exports, Jobs, Json, Quiet
from iosim.cli.output import progress_of


@command(examples=["iosim rerun before.json"])
def rerun(
    result: Annotated[
        str, typer.Argument(metavar="RESULT", help="A result in JSON (`iosim run --export`).")
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="Where the files are that it names."),
    ] = None,
    jobs: Jobs = None,
    json: Json = False,
    export: Exports = None,
    quiet: Quiet = False,
) -> int:
    """Repeat a result: simulated, the same to the bit or what differs; measured, measured again."""
    from iosim.report.rerun import answer
    from iosim.report.study import require_writable
    from iosim.studies.rerunning import rerun

    require_writable(export or ())
    gc.enable()
    with progress_of(quiet, "repeating") as progress:
        found = rerun(result, folder, jobs, progress)
    give(answer(found), export or [], json)
    if found.interrupted:
        return INTERRUPTED
    if found.unlike:
        return FAILED
    return INCONCLUSIVE if found.undecided else 0
