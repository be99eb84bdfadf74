"""`iosim plan`: how much load each model carries, what stops it, which setting is enough."""

import gc
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from iosim.cli.frame import FAILED, INCONCLUSIVE, INTERRUPTED, command
from iosim.cli.loading import load
from iosim.cli.options import (
    Changes,
    Force,
    Jobs,
    Json,
    Models,
    Plots,
    ProfileName,
    Quiet,
    Replications,
    ScenarioFile,
    Seed,
)
from iosim.cli.output import progress_of, say, tell_warnings

if TYPE_CHECKING:
    from iosim.studies.planning import Plan


@command(examples=["iosim plan my.yaml --model epoll --slo 'p99<5ms' --growth 10%/month"])
def plan(
    scenario: ScenarioFile,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            "--slo",
            metavar="'p99<5ms'",
            help="An objective, instead of the scenario's. May be repeated.",
        ),
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option(
            "--over",
            metavar="PATH=VALUES",
            help="Find the smallest value that carries today's load, as "
            "models.thread_pool.threads=4..256 (doubling) or machine.cores=1,2,4. May be repeated.",
        ),
    ] = None,
    growth: Annotated[
        str | None,
        typer.Option("--growth", metavar="10%/month", help="Tell when the capacity runs out."),
    ] = None,
    cost: Annotated[
        str | None,
        typer.Option("--cost", metavar="core=25/month,GiB=3/month", help="Rank by what it costs."),
    ] = None,
    model: Models = None,
    changes: Changes = None,
    seed: Seed = None,
    replications: Replications = None,
    budget: Annotated[
        int, typer.Option("--budget", metavar="N", help="Replications of a load at most.")
    ] = 20,
    jobs: Jobs = None,
    profile: ProfileName = None,
    json: Json = False,
    export: Plots = None,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """Find the highest load of each I/O model under objectives, and what carries today's."""
    from iosim.report.plan_export import PlanExport, to_json

    exports = [PlanExport.to(path) for path in export or ()]
    loaded, costs = load(
        scenario,
        changes,
        profile,
        force,
        last={"run.seed": seed, "run.replications": replications},
        models=model,
    )

    from iosim.studies import planning

    gc.enable()
    with progress_of(quiet, "planning") as progress:
        made = planning.plan(
            loaded, slo, over or (), growth, cost, jobs, progress, profile=costs, budget=budget
        )
    from iosim.report.plan import warnings

    tell_warnings(warnings(made))
    say(to_json(made) if json else _text(made, quiet))
    if made.models:
        for file in exports:
            file.write(made)
    return _exit_code(made)


def _text(plan: "Plan", quiet: bool) -> str:
    from iosim.report.knee import chart
    from iosim.report.layout import lay_out, paragraph, style_for, width_for
    from iosim.report.plan import headline, sentences, tables
    from iosim.report.summary import describe

    style, width = style_for(sys.stdout), width_for(sys.stdout)
    blocks = (
        []
        if quiet
        else [
            [
                style.strong(plan.scenario.name),
                *describe(plan.scenario, plan.profile),
                headline(plan),
            ]
        ]
    )
    blocks += [lay_out(table, style, width) for table in tables(plan)]
    if not quiet:
        blocks.insert(2, chart(plan))
    blocks += [paragraph(sentence) for sentence in sentences(plan)]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _exit_code(plan: "Plan") -> int:
    if plan.interrupted:
        return INTERRUPTED
    verdicts = {model.verdict for model in plan.models}
    return FAILED if "fail" in verdicts else INCONCLUSIVE if "inconclusive" in verdicts else 0
