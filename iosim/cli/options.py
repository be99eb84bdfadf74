"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

ScenarioFile = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="The scenario's YAML file; '-': standard input.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change the scenario, as workload.open.rate=20k/s, or a cost, as "
        "profile.context_switch=2us or =x0.5. May be repeated.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="NAME", help="Only this one, by label or kind."),
]
Replications = Annotated[
    int | None,
    typer.Option("--replications", metavar="N", min=1, help="Repetitions of each model."),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, help="Processes at once; default: one a core."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Exports = Annotated[
    list[Path] | None,
    typer.Option("--export", metavar="FILE", help="Write results: .json, .csv or .md."),
]
Plots = Annotated[
    list[Path] | None,
    typer.Option("--export", metavar="FILE", help="Write it: .json, .csv, .md, .png or .svg."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="The main table alone, and no progress.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, help="Start of all random streams.")
]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME|FILE", help="What everything costs."),
]
Force = Annotated[bool, typer.Option("--force", help="Lift the limits on size.")]
