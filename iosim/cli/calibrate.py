"""`iosim calibrate`: what things cost on this machine, measured and fitted, as a profile.

Validated by: tests/cli/test_profile_command.py
"""

import gc
import json as json_module
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from iosim.cli.frame import INTERRUPTED, command
from iosim.cli.options import Json, Quiet
from iosim.cli.output import progress_of, say, tell, tell_warnings
from iosim.errors import UsageError


@command(examples=["iosim calibrate --quick -o here.yaml"])
def calibrate(
    file: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where the profile goes.")
    ] = Path("calibrated.yaml"),
    quick: Annotated[
        bool, typer.Option("--quick", help="In less than a minute, less precisely.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> int:
    """Measure what things cost on this machine, and write its profile: some ten minutes."""
    from iosim.report.export import Export

    if os.path.lexists(file) and not force:
        raise UsageError(f"{file} exists already (--force overwrites it)")
    Export.writable("--output", file)

    from iosim.calibration import calibrating
    from iosim.profile import load
    from iosim.report.layout import lay_out, style_for, width_for
    from iosim.report.profiles import calibration_document, found

    gc.enable()
    with progress_of(quiet, "calibrating", "steps") as progress:
        done = calibrating.calibrate(quick, progress)
    rows = done.write(file)
    tell_warnings([*done.warnings, *(f"skipped {key}: {why}" for key, why in done.skipped.items())])
    if json:
        say(json_module.dumps(calibration_document(done), indent=2, allow_nan=False))
    else:
        style, width = style_for(sys.stdout), width_for(sys.stdout)
        tables = found(done, load(calibrating.BASE))
        say("\n\n".join("\n".join(lay_out(table, style, width)) for table in tables))
    tell(f"{file} and {rows} written; try: iosim run SCENARIO --profile {file}")
    return INTERRUPTED if done.interrupted else 0
