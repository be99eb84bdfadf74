"""The command line: arguments in, one library call, text out.

    iosim run SCENARIO         simulate it and print tables
    iosim measure SCENARIO     run it for real on this machine, and print the same tables
    iosim check SCENARIO...    tell every mistake, with line and column
    iosim explain MODEL        one request's life, step by step
    iosim list [WHAT [NAME]]   what there is to choose from
    iosim schema               the scenario's JSON Schema, for editors
    iosim init [FILE]          a commented scenario to start from

Data goes to stdout; progress, warnings and errors go to stderr. Exit codes: 0; 1 a run
ended in an error (a deadlock); 2 bad usage or scenario; 3 an objective fails; 4 an
objective or the wanted precision is left undecided; 130 interrupted; 143 terminated.

Not done: no logic here. Slow libraries are imported by the command that needs them.
Validated by: tests/cli
"""

import functools
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from errno import EBADF
from io import TextIOWrapper
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec

import typer

from iosim.errors import (
    IosimError,
    PluginError,
    ScenarioError,
    UsageError,
    did_you_mean,
    shown,
)

if TYPE_CHECKING:
    from iosim.choice import Chosen
    from iosim.profile import Profile
    from iosim.report.export import Export
    from iosim.results import Results
    from iosim.scenario import Scenario
    from iosim.simulation import Precision, Progress

FAILED = 3
INCONCLUSIVE = 4
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

RARELY_S = 30

SHIPPED_PROFILES = Path(__file__).with_name("profiles")

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
    # Two habits that take a fifth of the start-up: collecting garbage while modules load (`run`
    # turns it on again), and pydantic's search of all installed packages for plug-ins of its own.
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    signal.signal(signal.SIGTERM, _on_sigterm)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal of ASCII has no '±'
    app(prog_name="iosim")


_terminated: list[int] = []
"""Not empty once SIGTERM has come."""


def _on_sigterm(number: int, _: object) -> None:
    """End as after Ctrl-C: show what has finished, and leave no process behind."""
    _terminated.append(number)
    raise KeyboardInterrupt


def _command(function: Callable[P, int]) -> Callable[P, None]:
    """Exit with the code that `function` returns; tell what iosim refuses in one message."""

    @functools.wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
        except IosimError as error:
            _tell(str(error))
            code = error.exit_code
        except KeyboardInterrupt:
            _tell("terminated" if _terminated else "interrupted")
            code = INTERRUPTED
        if code == INTERRUPTED and _terminated:
            code = TERMINATED
        raise typer.Exit(code)

    return command


def _tell(text: str) -> None:
    if sys.stderr is not None:  # closed by `2>&-`
        sys.stderr.write(f"{text}\n")


def _say(text: str) -> None:
    """Write to stdout. Raises IosimError if that fails; a reader who has left is no failure."""
    try:
        if sys.stdout is None:  # closed by `>&-`
            raise OSError(EBADF, "it is closed")
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        if sys.stdout is not None:  # what is left of the text must not be tried again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `| head` has seen enough
            raise IosimError(f"standard output: cannot be written: {error.strerror}") from None


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
Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="NAME", help="Only this one, by label or kind."),
]
Replications = Annotated[
    int | None,
    typer.Option("--replications", metavar="N", min=1, help="Repetitions of each model."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Exports = Annotated[
    list[Path] | None,
    typer.Option("--export", metavar="FILE", help="Write results: .json, .csv or .md."),
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


@_command
def _say_version() -> int:
    from iosim import __version__

    _say(f"iosim {__version__}")
    return 0


def _version(wanted: bool) -> None:
    if wanted:
        _say_version()


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
    model: Models = None,
    changes: Changes = None,
    seed: Seed = None,
    replications: Replications = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", min=1, help="Processes at once; default: one a core."),
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
    json: Json = False,
    export: Exports = None,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """Simulate each I/O model of a scenario and print what came out."""
    from iosim.report.export import Export

    exports = [Export.to(path) for path in export or ()]
    wanted = _precision(precision)
    loaded, costs = _load(
        scenario,
        changes,
        profile,
        force,
        last={"run.seed": seed, "run.replications": replications},
    )
    if model:
        loaded = loaded.model_copy(update={"models": _selected(loaded, model)})

    from iosim.simulation import simulate

    gc.enable()
    with _progress(quiet, "simulating") as progress:
        results = simulate(loaded, costs, jobs, wanted, progress)
    return _show(results, exports, json, quiet)


@app.command()
@_command
def measure(
    scenario: ScenarioFile,
    model: Models = None,
    changes: Changes = None,
    seed: Seed = None,
    replications: Replications = None,
    server_cores: Annotated[
        str | None,
        typer.Option("--server-cores", metavar="0,2-3", help="The server's; default: the first."),
    ] = None,
    client_cores: Annotated[
        str | None,
        typer.Option("--client-cores", metavar="1", help="The clients'; default: the next one."),
    ] = None,
    saturate: Annotated[
        bool, typer.Option("--saturate", help="Find what each model answers at most.")
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="Write what scheduler and syscalls did."),
    ] = None,
    load: Annotated[
        Literal["native", "python"] | None,
        typer.Option(
            "--load", metavar="native|python", help="The clients; default: native if compilable."
        ),
    ] = None,
    json: Json = False,
    export: Exports = None,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """Run each I/O model of a scenario for real, on this machine, and print what came out."""
    from iosim.report.export import Export

    exports = [Export.to(path) for path in export or ()]
    if trace is not None:
        Export.writable("--trace", trace)
    loaded = _scenario(
        scenario, changes, force, {"run.seed": seed, "run.replications": replications}
    )
    if model:
        loaded = loaded.model_copy(update={"models": _selected(loaded, model)})

    from iosim import measurement

    gc.enable()
    with _progress(quiet, "measuring") as progress:
        results = (measurement.saturate if saturate else measurement.measure)(
            loaded,
            server_cores=server_cores,
            client_cores=client_cores,
            load=load,
            trace=trace,
            progress=progress,
        )
    return _show(results, exports, json, quiet)


@app.command()
@_command
def check(
    scenarios: Annotated[
        list[str], typer.Argument(metavar="SCENARIO", help="Scenario files; '-': stdin.")
    ],
    force: Force = False,
) -> int:
    """Tell every mistake in scenarios, with line and column."""
    from iosim.profile import load as load_profile
    from iosim.report.summary import describe
    from iosim.scenario import check_files, load

    code = 0
    for file in scenarios:
        try:
            loaded = load(file, force=force)
            # The shipped profiles are sound, and reading one takes as long as all the rest.
            if not (SHIPPED_PROFILES / f"{loaded.machine.profile}.yaml").is_file():
                load_profile(loaded.machine.profile, loaded.folder)
            warnings = check_files(loaded)
        except IosimError as error:
            _tell(str(error))
            code = error.exit_code
        else:
            _say("\n".join([f"{file}: ok", *(f"  {line}" for line in describe(loaded))]))
            _tell_warnings(warnings)
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
            raise _unknown("an I/O model", model, known)
        loaded, costs = _load(
            built_in(known[model]), changes, profile, force, {"models": [model]}, last
        )
        chosen = loaded.models[0]
    else:
        loaded, costs = _load(scenario, changes, profile, force, last=last)
        chosen = _selected(loaded, [model])[0]
    gc.enable()
    moment = observe(loaded, chosen, costs.costs, busy)
    _say(tell(moment, style_for(sys.stdout)))
    return 0


@app.command("list")
@_command
def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[WHAT]", help="models, devices, workloads, schedulers, profiles or metrics."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One of them: its options; or a profile's file."),
    ] = None,
    cost: Annotated[
        str | None, typer.Argument(metavar="[COST]", help="Of a profile: all about one cost.")
    ] = None,
) -> int:
    """List what there is to choose from, the options of one kind, or a profile's costs."""
    from iosim.report.catalogue import listing, options, overview

    if what is None:
        _say(overview())
    else:
        _say(listing(what) if name is None else options(what, name, cost))
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
    from iosim.report.export import write_atomically

    if os.path.lexists(file) and not force:
        raise UsageError(f"{file} exists already (--force overwrites it)")
    write_atomically(file, text)
    _tell(f"{file} written; try: iosim run {file}")
    return 0


# ---------------------------------------------------------------------- from text to calls


def _load(
    file: str | Path,
    changes: list[str] | None = None,
    profile: str | None = None,
    force: bool = False,
    first: Mapping[str, object] = MappingProxyType({}),
    last: Mapping[str, object] = MappingProxyType({}),
) -> "tuple[Scenario, Profile]":
    """A scenario and what things cost, changed as the command line says.

    `first` and `last` are changes made before and after those of `--set`; None is none.
    """
    from iosim.changes import parse_assignment
    from iosim.profile import load as load_profile
    from iosim.profile import with_costs
    from iosim.scenario import load

    assigned = [parse_assignment(change) for change in changes or ()]
    costs = {path: value for path, value in assigned if path.startswith("profile.")}
    others = [(path, value) for path, value in assigned if path not in costs]
    own = {"machine.profile": profile, **last}
    try:
        loaded = load(file, [*_values(first), *others, *_values(own)], force)
    except ScenarioError:
        if others:
            told = " ".join(f"{path}={value}" for path, value in others)
            _tell(f"changed by --set {told} (lines and columns are the file's own):")
        raise
    read = load_profile(loaded.machine.profile, loaded.folder)
    return loaded, with_costs(
        read, {path.removeprefix("profile."): value for path, value in costs.items()}
    )


def _scenario(
    file: str, changes: list[str] | None, force: bool, last: Mapping[str, object]
) -> "Scenario":
    """A scenario that is to be measured: nothing costs what a profile says."""
    for change in changes or ():
        if change.strip().startswith("profile."):
            raise UsageError(f"--set {change}: a real run costs what it costs: it has no profile")
    loaded, _ = _load(file, changes, force=force, last=last)
    return loaded


def _values(changes: Mapping[str, object]) -> list[tuple[str, str]]:
    """Values as YAML, in the spelling that it shares with JSON."""
    from json import dumps

    return [(path, dumps(value)) for path, value in changes.items() if value is not None]


def _selected(scenario: "Scenario", names: list[str]) -> "tuple[Chosen[Any], ...]":
    """The entries of `models` with these labels or kinds. Raises UsageError."""
    from iosim.scenario import label_of

    for name in names:
        known = [word for m in scenario.models for word in (label_of(m), m.kind)]
        if name not in known:
            raise _unknown("a model of this scenario", name, known)
    labels = {label_of(model) for model in scenario.models}
    return tuple(
        model
        for model in scenario.models
        # What results call it goes first: a kind may be another model's label.
        if label_of(model) in names or model.kind in {*names} - labels
    )


def _unknown(expected: str, found: str, known: Iterable[str]) -> UsageError:
    known = list(dict.fromkeys(known))
    hint = did_you_mean(found, known)
    return UsageError(
        f"expected {expected} ({', '.join(known)}), found {shown(found)}"
        + (f"; {hint}" if hint else "")
    )


def _precision(text: str | None) -> "Precision | None":
    from iosim.simulation import Precision

    return Precision.parse(text) if text else None


# ------------------------------------------------------------------------------- telling


@contextmanager
def _progress(quiet: bool, doing: str) -> "Iterator[Progress | None]":
    """A bar on stderr while runs go on; where it is no terminal, a line now and then."""
    if quiet or sys.stderr is None:
        yield None
        return
    if not sys.stderr.isatty():
        yield _now_and_then()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


def _now_and_then() -> "Progress":
    """Progress in lines, the first after `RARELY_S`: a log should show that a long run lives."""
    from time import monotonic

    told_s = monotonic()

    def show(done: int, total: int) -> None:
        nonlocal told_s
        if monotonic() - told_s >= RARELY_S:
            told_s = monotonic()
            _tell(f"{done} of {total} runs done")

    return show


def _show(results: "Results", exports: "list[Export]", json: bool, quiet: bool) -> int:
    """Print results and write them to files; the exit code."""
    from iosim.report.export import to_json, write_all

    _warn(results, errors=json)
    try:
        _say(to_json(results) if json else _tables(results, quiet))
    finally:
        write_all(exports, results)
    return _exit_code(results)


def _warn(results: "Results", errors: bool) -> None:
    from iosim.report.layout import paragraph, width_for

    _tell_warnings(results.warnings)
    for model in results.models:
        told = [f"warning: {model.label}: {warning}" for warning in model.warnings]
        if errors and model.error:
            told.append(f"error: {model.error}")
        for text in told:
            _tell("\n".join(paragraph(text, width_for(sys.stderr))))


def _tell_warnings(warnings: Iterable[str]) -> None:
    from iosim.report.layout import paragraph, width_for

    for warning in warnings:
        _tell("\n".join(paragraph(f"warning: {warning}", width_for(sys.stderr))))


def _tables(results: "Results", quiet: bool) -> str:
    from iosim.report.finding import findings
    from iosim.report.layout import lay_out, paragraph, style_for, width_for
    from iosim.report.summary import describe, ending_lines
    from iosim.report.table import main_table, saturation, tables

    style, width = style_for(sys.stdout), width_for(sys.stdout)
    blocks = [[style.strong(results.scenario.name), *describe(results.scenario, results.profile)]]
    if quiet:
        shown = [*saturation(results)] or [main_table(results)]
        blocks = [lay_out(table, style, width) for table in shown]
    else:
        blocks += [lay_out(table, style, width) for table in tables(results)]
    blocks.append(ending_lines(results, style))
    if not quiet:
        blocks.append([line for sentence in findings(results) for line in paragraph(sentence)])
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _exit_code(results: "Results") -> int:
    verdicts = {verdict for model in results.models for verdict in model.verdicts.values()}
    if results.interrupted:
        return INTERRUPTED
    if any(model.error for model in results.models):
        return 1
    if "fail" in verdicts:
        return FAILED
    return INCONCLUSIVE if "inconclusive" in verdicts else 0
