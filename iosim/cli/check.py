"""`iosim check`: every mistake, with line and column."""

from typing import Annotated

import typer

from iosim.cli.frame import command
from iosim.cli.options import Force
from iosim.cli.output import say, tell, tell_warnings
from iosim.errors import IosimError


@command(examples=["iosim check my.yaml"])
def check(
    scenarios: Annotated[
        list[str], typer.Argument(metavar="SCENARIO", help="Scenario files; '-': stdin.")
    ],
    force: Force = False,
) -> int:
    """Tell every mistake in scenarios, with line and column."""
    from iosim.assumptions import assumptions
    from iosim.profile import SHIPPED_FOLDER
    from iosim.profile import load as load_profile
    from iosim.report.summary import describe
    from iosim.scenario import check_files, load

    code = 0
    for file in scenarios:
        try:
            loaded = load(file, force=force)
            # The shipped profiles are sound, and reading one takes as long as all the rest.
            if not (SHIPPED_FOLDER / f"{loaded.machine.profile}.yaml").is_file():
                load_profile(loaded.machine.profile, loaded.folder)
            warnings = (*check_files(loaded), *assumptions(loaded))
        except IosimError as error:
            tell(str(error))
            code = error.exit_code
        else:
            say("\n".join([f"{file}: ok", *(f"  {line}" for line in describe(loaded))]))
            tell_warnings(warnings)
    return code
