"""`iosim explain`: one request's life, step by step."""

import gc
import sys
from typing import Annotated

import typer

from iosim.cli.frame import command
from iosim.cli.loading import load, selected, unknown
from iosim.cli.options import Changes, Force, ProfileName, Seed
from iosim.cli.output import say
from iosim.errors import PluginError


@command(examples=["iosim explain epoll --busy", "iosim explain blocking my.yaml"])
def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An I/O model: kind or label.")],
    scenario: Annotated[
        str | None,
        typer.Argument(metavar="[SCENARIO]", help="Where it runs; default: a small one."),
    ] = None,
    busy: Annotated[
        bool, typer.Option("--busy", help="A moment at which several requests come together.")
    ] = False,
    changes: Changes = None,
    seed: Seed = None,
    profile: ProfileName = None,
    force: Force = False,
) -> int:
    """Show the life of one request, as it happened in a simulated run."""
    from iosim.plugins import broken, kinds
    from iosim.report.layout import style_for
    from iosim.report.story import built_in, tell
    from iosim.report.timeline import observe

    last = {"run.seed": seed}
    if scenario is None:
        known = kinds("io_models")
        if model in broken("io_models") and model not in known:
            raise PluginError(f"{model} is broken: {broken('io_models')[model]}")
        if model not in known:
            raise unknown("an I/O model", model, known)
        loaded, costs = load(
            built_in(known[model]), changes, profile, force, {"models": [model]}, last
        )
        chosen = loaded.models[0]
    else:
        loaded, costs = load(scenario, changes, profile, force, last=last)
        chosen = selected(loaded, [model])[0]
    gc.enable()
    moment = observe(loaded, chosen, costs.costs, busy)
    say(tell(moment, style_for(sys.stdout)))
    return 0
