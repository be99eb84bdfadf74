"""The command line: arguments in, one library call, text out.

    iosim run SCENARIO         simulate it and print tables
    iosim check SCENARIO...    tell every mistake, with line and column
    iosim explain MODEL        one request's life, step by step
    iosim list WHAT [NAME]     what there is to choose from
    iosim schema               the scenario's JSON Schema, for editors
    iosim init [FILE]          a commented scenario to start from

Data goes to stdout; progress, warnings and errors go to stderr. Exit codes: 0; 1 a run
ended in an error (a deadlock); 2 bad usage or scenario; 3 an objective fails; 4 an
objective or the wanted precision is left undecided; 130 interrupted.

Not done: no logic here. Slow libraries are imported by the command that needs them.
Validated by: tests/cli
"""

import functools
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, ParamSpec

import typer

from iosim.errors import IosimError, UsageError, did_you_mean, shown

if TYPE_CHECKING:
    from iosim.choice import Chosen
    from iosim.profile import Profile
    from iosim.results import Results
    from iosim.scenario import Scenario
    from iosim.simulation import Precision, Progress

FAILED = 3
INCONCLUSIVE = 4
INTERRUPTED = 130

P = ParamSpec("P")

app = typer.Typer(
    help="Simulate I/O models: what each costs, on one workload and one machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich is slow to import, and plain help reads well
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line and exit."""
    # Collecting garbage while modules load takes a fifth of the start-up; `run` turns it on.
    gc.disable()
    app()


def _command(function: Callable[P, int]) -> Callable[P, None]:
    """Exit with the code that `function` returns; tell what iosim refuses in one message."""

    @functools.wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        code = 0
        try:
            try:
                code = function(*args, **kwargs)
            except IosimError as error:
                _tell(str(error))
                code = error.exit_code
            except KeyboardInterrupt:
                _tell("interrupted")
                code = INTERRUPTED
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader (`| head`) has seen enough. Nothing may be flushed to it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(code)

    return command


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _say(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


# -------------------------------------------------------------------------------- options

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
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="Start of all random streams.")
]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME|FILE", help="What everything costs."),
]
Force = Annotated[bool, typer.Option("--force", help="Lift the limits on size.")]


def _version(wanted: bool) -> None:
    if wanted:
        from iosim import __version__

        _say(f"iosim {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


# -------------------------------------------------------------------------------- commands


@app.command()
@_command
def run(
    scenario: ScenarioFile,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="Only this one, by label or kind."),
    ] = None,
    changes: Changes = None,
    seed: Seed = None,
    replications: Annotated[
        int | None, typer.Option("--replications", min=1, help="Repetitions of each model.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Processes at once; default: one a core.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="5%@p99",
            help="Replicate until the interval of this metric is so narrow.",
        ),
    ] = None,
    profile: ProfileName = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    export: Annotated[
        list[Path] | None,
        typer.Option("--export", metavar="FILE", help="Write results: .json, .csv or .md."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="The main table alone, and no progress.")
    ] = False,
    force: Force = False,
) -> int:
    """Simulate each I/O model of a scenario and print what came out."""
    from iosim.report.export import Export, to_json

    exports = [Export.to(path) for path in export or ()]
    wanted = _precision(precision) if precision else None
    own = {"run.seed": seed, "run.replications": replications}
    loaded, costs = _load(scenario, changes, own, profile, force)
    if model:
        loaded = loaded.model_copy(update={"models": _selected(loaded, model)})

    from iosim.simulation import simulate

    gc.enable()
    with _progress(quiet) as progress:
        results = simulate(loaded, costs, jobs, wanted, progress)
    for each in exports:
        each.write(results)
    _warn(results, errors=json)
    _say(to_json(results) if json else _tables(results, quiet))
    return _exit_code(results)


@app.command()
@_command
def check(
    scenarios: Annotated[
        list[str], typer.Argument(metavar="SCENARIO...", help="Scenario files; '-': stdin.")
    ],
    force: Force = False,
) -> int:
    """Tell every mistake in scenarios, with line and column."""
    from iosim.report.table import describe

    code = 0
    for file in scenarios:
        try:
            loaded, _ = _load(file, force=force, costs=False)
        except IosimError as error:
            _tell(str(error))
            code = error.exit_code
            continue
        _say("\n".join([f"{file}: ok", *(f"  {line}" for line in describe(loaded))]))
    return code


@app.command()
@_command
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
    from iosim.report.layout import style_for
    from iosim.report.story import BUILT_IN, tell
    from iosim.report.timeline import observe
    from iosim.plugins import kinds

    own: dict[str, object] = {"run.seed": seed}
    if scenario is None:
        known = kinds("io_models")
        if model not in known:
            raise _unknown("an I/O model", model, known)
        serves = getattr(known[model], "SERVES", "requests")
        text = BUILT_IN[serves].replace("MODEL", model)
        loaded, costs = _load("built-in scenario", changes, own, profile, force, text=text)
        chosen = loaded.models[0]
    else:
        loaded, costs = _load(scenario, changes, own, profile, force)
        chosen = _selected(loaded, [model])[0]
    assert costs is not None
    gc.enable()
    moment = observe(loaded, chosen, costs.costs, busy)
    _say(tell(moment, style_for(sys.stdout)))
    return 0


@app.command("list")
@_command
def list_(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", help="models, devices, workloads, schedulers, profiles or metrics."
        ),
    ],
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One of them: its options.")
    ] = None,
) -> int:
    """List what there is to choose from, or the options of one kind."""
    from iosim.report.catalogue import listing, options

    _say(listing(what) if name is None else options(what, name))
    return 0


@app.command()
@_command
def schema() -> int:
    """Print the JSON Schema of scenarios, for editors."""
    from json import dumps

    from iosim.scenario import Scenario

    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Scenario.model_json_schema(),
    }
    _say(dumps(described, indent=2, ensure_ascii=False))
    return 0


@app.command()
@_command
def init(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; default: stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> int:
    """Write a commented scenario to start from."""
    text = Path(__file__).with_name("template.yaml").read_text(encoding="utf-8")
    if file is None:
        _say(text)
        return 0
    if file.exists() and not force:
        raise UsageError(f"{file} exists already (--force overwrites it)")
    from iosim.report.export import write_atomically

    write_atomically(file, text)
    _tell(f"{file} written; try: iosim run {file}")
    return 0


# ---------------------------------------------------------------------- from text to calls


def _load(
    file: str,
    changes: list[str] | None = None,
    own: "dict[str, Any] | None" = None,
    profile: str | None = None,
    force: bool = False,
    costs: bool = True,
    text: str | None = None,
) -> "tuple[Scenario, Profile | None]":
    """A scenario and what it costs, with all changes from the command line made."""
    from iosim.changes import parse_assignment
    from iosim.scenario import load

    assigned = dict(parse_assignment(change) for change in changes or ())
    of_costs = {
        path.removeprefix("profile."): value
        for path, value in assigned.items()
        if path.startswith("profile.")
    }
    in_scenario = {k: v for k, v in assigned.items() if not k.startswith("profile.")}
    in_scenario |= {path: str(value) for path, value in (own or {}).items() if value is not None}
    if profile is not None:
        from json import dumps

        in_scenario["machine.profile"] = dumps(profile)
    loaded = load(file, in_scenario, force)
    # A scenario names a profile from where it stands, the command line from where one is.
    named_here = profile is not None or "machine.profile" in assigned or file == "-"
    folder = "" if named_here else Path(file).parent
    return loaded, _profile(loaded, folder, of_costs, read=costs)
