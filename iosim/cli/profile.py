"""`iosim profile`: look at a profile, and at what differs between two.

Validated by: tests/cli/test_profile_command.py
"""

import gc
import json as json_module
import sys
from typing import Annotated

import typer

from iosim.cli.frame import command, group
from iosim.cli.options import Json, Quiet
from iosim.cli.output import progress_of, say

profile = group("profile", "Look at what things cost: one profile, or two side by side.")

Name = Annotated[str, typer.Argument(metavar="FILE", help="A profile's file, or a shipped one.")]


@command(
    to=profile, examples=["iosim profile show reference", "iosim profile show reference idle_exit"]
)
def show(
    file: Name,
    cost: Annotated[
        str | None, typer.Argument(metavar="[COST]", help="All that is known of one cost.")
    ] = None,
) -> int:
    """Print a profile's costs, how each is known and how well; or all about one."""
    from iosim.report.catalogue import options

    say(options("profiles", file, cost))
    return 0


@command(to=profile, examples=["iosim profile diff reference no_mitigations"])
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A profile's file, or a shipped one.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    scenarios: Annotated[
        bool, typer.Option("--scenarios", help="And what it changes in a few shipped scenarios.")
    ] = False,
    scenario: Annotated[
        list[str] | None,
        typer.Option("--scenario", metavar="FILE", help="And in this scenario. May be repeated."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Print which costs differ between two profiles, and what that changes."""
    from iosim.calibration.differing import differences, effects, quick_scenarios
    from iosim.profile import load
    from iosim.report.layout import lay_out, style_for, width_for
    from iosim.report.profiles import changing, difference_document, differing

    first, second = load(a), load(b)
    files = [*(quick_scenarios() if scenarios else ()), *(scenario or ())]
    found = differences(first, second)
    gc.enable()
    with progress_of(quiet, "simulating") as progress:
        changed = effects(first, second, files, progress)
    if json:
        document = difference_document(first, second, found, changed)
        say(json_module.dumps(document, indent=2, allow_nan=False))
        return 0
    style, width = style_for(sys.stdout), width_for(sys.stdout)
    tables = [differing(first, second, found), *changing(first, second, changed)]
    say("\n\n".join("\n".join(lay_out(table, style, width)) for table in tables))
    return 0
