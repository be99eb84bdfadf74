"""A scenario: what to simulate, as one validated, frozen object.

    machine     cores, scheduler, network, runtime, profile
    server      the handler's steps, own work, working set
    devices     what the handler calls, by name
    workload    who asks for what, when
    models      the I/O models to compare
    run         duration, replications, warm-up, seed
    slo         what the result is held against

Scope: everything that a run depends on but the costs, which are the profile's.
Raises ScenarioError with every mistake of a file at once.
Validated by: tests/unit/test_scenario.py
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)
from pydantic_core import InitErrorDetails, PydanticSerializationError

from iosim.choice import Chosen, Many, OneOf, Options, problems_from
from iosim.distributions import FOLDER, Distribution
from iosim.errors import Mismatch, Problem, ScenarioError, UsageError, did_you_mean, shown
from iosim.plugins import broken, kinds
from iosim.slo import Slo, parse_slo
from iosim.units import (
    Count,
    Fraction,
    Most,
    PositiveCount,
    PositiveDuration,
    PositiveSize,
    Size,
    canonical_duration,
    is_count,
)
from iosim.yaml_source import Source, load_bytes

MOST_CORES = 256
MOST_OF_A_COUNT = 1_000_000
"""For every count among the options of models and workload, unless its type says `Most(...)`."""
MOST_REQUESTS = 100_000_000
MOST_REPLICATIONS = 10_000
"""Limits that keep a slip of the keyboard from running for days; `--force` lifts them."""

LONGEST_NS = 10 * 86_400 * 10**9
"""The machine's clock counts no further (iosim.machine.alarm.FAR_NS)."""


def _one_line(text: str) -> str:
    if text and text.splitlines() != [text]:
        raise Mismatch("a name without line breaks", shown(text))
    return text


Line = Annotated[str, AfterValidator(_one_line)]
"""A name as tables and files can show it."""


def _named(text: str) -> str:
    if not text:
        raise Mismatch("a name", shown(text))
    return text


ClassName = Annotated[Line, AfterValidator(_named)]
"""The same, which is something."""


def _options(folder: str, **having: str) -> Mapping[str, type[BaseModel]]:
    """Options classes of a folder's kinds, of those whose attributes are as given."""

    def fits(module: ModuleType) -> bool:
        return all(getattr(module, key, None) == value for key, value in having.items())

    return {name: module.Options for name, module in kinds(folder).items() if fits(module)}


def _one_of(noun: str, folder: str, labelled: bool = False, **having: str) -> OneOf:
    """A choice among a folder's kinds."""
    return OneOf(noun, lambda: _options(folder, **having), labelled, broken=lambda: broken(folder))


class Stolen(Options):
    """How the host takes a core away."""

    length: Distribution | None = Field(
        default=None,
        description="For how long; none: as the profile has measured it, else exponential.",
    )
    gap: Distribution | None = Field(
        default=None, description="How long after the last time; none: as for `length`."
    )


class SiblingThread(Options):
    """The other hyper-thread of a core."""

    busy: Fraction = Field(
        default="50%", validate_default=True, description="Part of the time that it is busy."
    )
    spell: Distribution = Field(
        default={"exponential": "10ms"},
        validate_default=True,
        description="How long it is busy at a time; idle spells are in proportion.",
    )
    slowdown: float = Field(
        default=1.4, ge=1, le=10, description="How much longer everything takes meanwhile."
    )


class HostNoise(Options):
    """What else runs on the hardware of a virtual machine."""

    stolen: Stolen | None = Field(
        default=None, description="Other guests take each core away now and then."
    )
    sibling: SiblingThread | None = Field(
        default=None, description="Each core shares its hardware with another hyper-thread."
    )


class Machine(Options):
    """The server's machine."""

    cores: PositiveCount = Field(default=1, description="Cores that the server may use.")
    scheduler: Annotated[Chosen[Any], _one_of("scheduler", "schedulers")] = Field(
        default="eevdf", validate_default=True, description="The CPU scheduler."
    )
    network: Annotated[Chosen[Any], _one_of("network", "devices", ROLE="network")] = Field(
        default="loopback", validate_default=True, description="How messages reach the server."
    )
    runtime: Literal["native", "cpython"] = Field(
        default="native", description="`cpython`: threads share an interpreter lock."
    )
    profile: str = Field(
        default="reference", description="What everything costs: a shipped profile, or a file."
    )
    host_noise: HostNoise | None = Field(
        default=None, description="Of a virtual machine: what its host takes away."
    )
    descriptors: PositiveCount = Field(
        default=20_000, description="How many the server may have open (RLIMIT_NOFILE)."
    )
    backlog: PositiveCount = Field(
        default=4096, description="Connections that may wait to be accepted (somaxconn)."
    )
    send_buffer: PositiveSize = Field(
        default="4MiB",
        validate_default=True,
        description="Room for answers in a connection's socket (the most that tcp_wmem gives).",
    )


class CpuStep(Options):
    """Burn CPU time."""

    cpu: Distribution = Field(description="How much.")


class CallStep(Options):
    """Send a query to a device and wait for its answer."""

    call: str = Field(description="The device's name.")
    on_error: Literal["fail", "retry"] = Field(
        default="fail",
        description="If the answer is an error: answer the request with one, or call again.",
    )
    attempts: PositiveCount = Field(
        default=3, description="With `on_error: retry`: so often at most, the first included."
    )

    @property
    def attempts_at_most(self) -> int:
        """How often the device may be called for one request."""
        return self.attempts if self.on_error == "retry" else 1


class SleepStep(Options):
    """Let time pass."""

    sleep: Distribution = Field(description="How long.")


def _step_kind(step: Any) -> str:
    keys: Mapping[str, Any] = step if isinstance(step, Mapping) else type(step).model_fields
    return next(kind for kind in STEPS if kind in keys)


STEPS: Mapping[str, type[Options]] = {"cpu": CpuStep, "call": CallStep, "sleep": SleepStep}


def _known_step(step: Any) -> Any:
    """Tell a misspelt step before pydantic tries it as each kind of step."""
    if isinstance(step, Options) or (
        isinstance(step, Mapping) and sum(key in STEPS for key in step) == 1
    ):
        return step
    several = isinstance(step, Mapping) and len(step) > 1
    word = next(iter(step), "") if isinstance(step, Mapping) else step
    found = f"{len(step)} keys in one" if several else shown(word)
    hint = None if word in STEPS else did_you_mean(word, STEPS)
    mismatch = Mismatch("a step: 'cpu: 20us', 'call: DEVICE' or 'sleep: 1ms'", found, hint)
    line: InitErrorDetails = {
        "type": "value_error",
        "loc": (word,) if isinstance(step, Mapping) else (),
        "input": step,
        "ctx": {"error": mismatch},
    }
    raise ValidationError.from_exception_data("step", [line])


Step = Annotated[
    Annotated[CpuStep, Tag("cpu")]
    | Annotated[CallStep, Tag("call")]
    | Annotated[SleepStep, Tag("sleep")],
    Discriminator(_step_kind),
    BeforeValidator(_known_step),
]


class OwnWork(Options):
    """CPU work that the server would like to do while it waits."""

    chunk: PositiveDuration = Field(description="How long before it looks around again.")


class RequestClass(Options):
    """Requests of one kind, among others."""

    weight: float = Field(
        default=1, gt=0, le=1e9, description="How many there are, in proportion to other classes."
    )
    handler: Many[Step] = Field(default=(), description="The steps of such a request.")
    request: PositiveSize | None = Field(
        default=None, description="Its size; none: as the workload says."
    )
    reply: PositiveSize | None = Field(
        default=None, description="The size of its answer; none: as the workload says."
    )


class Server(Options):
    """What the server does with a request, and besides."""

    handler: Many[Step] = Field(default=(), description="The steps of a request: cpu, call, sleep.")
    classes: dict[ClassName, RequestClass] = Field(
        default_factory=dict,
        description="Classes of requests by name, each with its handler, instead of one `handler`.",
    )
    own_work: OwnWork | None = Field(
        default=None, description="CPU work the server would like to do meanwhile."
    )
    cancel: bool = Field(
        default=False,
        description="Give up work, before its next step, whose client has closed the connection.",
    )
    working_set: Size = Field(
        default="0B",
        validate_default=True,
        description="What a thread touches each time it runs, on top of the profile's.",
    )

    @property
    def request_classes(self) -> Mapping[str, RequestClass]:
        """The classes of requests; where all are alike, one without a name."""
        return self.classes or {"": RequestClass(handler=self.handler)}

    @property
    def mean_cpu_ns(self) -> float:
        """What a request computes in its handler, over all classes."""
        classes = self.request_classes.values()
        cpu_ns = sum(
            one.weight * step.cpu.options.mean_ns()
            for one in classes
            for step in one.handler
            if isinstance(step, CpuStep)
        )
        return cpu_ns / sum(one.weight for one in classes)


class Run(Options):
    """How long to simulate, how often, and from which seed."""

    duration: PositiveDuration = Field(
        default="1s", validate_default=True, description="Simulated time under load."
    )
    replications: PositiveCount = Field(
        default=5, description="Independent repetitions, for the confidence intervals."
    )
    warm_up: PositiveDuration | Literal["auto", "none"] = Field(
        default="auto", description="Left out at the start; auto: found by MSER-5."
    )
    seed: Count = Field(default=1, description="Start of all random streams.")


def _objective(line: str) -> str:
    parse_slo(line)
    return line


class Scenario(Options):
    """One file's worth of experiment."""

    model_config = ConfigDict(title="iosim scenario")

    name: Line = Field(default="", description="Shown in results; the file's name if left out.")
    machine: Machine = Field(default_factory=Machine, description="The server's machine.")
    server: Server = Field(default_factory=Server, description="What it does with a request.")
    devices: dict[Line, Annotated[Chosen[Any], _one_of("device", "devices", ROLE="backend")]] = (
        Field(default_factory=dict, description="What `call` steps call, by name.")
    )
    workload: Annotated[Chosen[Any], _one_of("workload", "workloads")] = Field(
        description="Who asks for what, when."
    )
    models: Many[Annotated[Chosen[Any], _one_of("I/O model", "io_models", labelled=True)]] = Field(
        min_length=1, description="The I/O models to compare."
    )
    run: Run = Field(default_factory=Run, description="How long, how often, from which seed.")
    slo: Many[Annotated[str, AfterValidator(_objective)]] = Field(
        default=(), description="Such as 'p99 < 5ms': judged for each model."
    )

    @property
    def slos(self) -> tuple[Slo, ...]:
        """The service-level objectives, parsed."""
        return tuple(parse_slo(line) for line in self.slo)

    def to_data(self) -> dict[str, Any]:
        """Plain data that `from_data` reads back to an equal scenario."""
        try:
            return self.model_dump(mode="json")
        except PydanticSerializationError as error:
            # pydantic takes a Ctrl-C that comes meanwhile for a failure of its own.
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise

    @cached_property
    def folder(self) -> Path:
        """Where the file stands that it was read from: a profile's path counts from there."""
        # Not a field: two equal scenarios may stand in different places.
        return Path()

    @property
    def digest(self) -> str:
        """SHA-256 of the scenario's content, whatever its name and however it was written down."""
        import hashlib
        import json

        text = json.dumps({**self.to_data(), "name": ""}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def label_of(model: Chosen[Any]) -> str:
    """What an entry of `models` is called in results."""
    return model.label or model.kind


def load(
    path: str | Path,
    changes: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    force: bool = False,
) -> Scenario:
    """Read a scenario file ('-': standard input). Raises ScenarioError.

    A profile that the file names by its path is looked for from the file's folder.
    `changes` are made in their order, each from a path such as `workload.open.rate` to a
    value in YAML; `force` lifts the limits on size. Raises UsageError for a path that leads
    nowhere, and for a cost's.
    """
    import sys

    from iosim.changes import apply

    changes = list(changes.items() if isinstance(changes, Mapping) else changes)
    for change, value in changes:
        if change.startswith("profile."):
            cost = change.removeprefix("profile.")
            raise UsageError(
                f"{change}: a cost is the profile's, not the scenario's: change it by "
                f'iosim.load_profile("reference", changes={{"{cost}": "{value}"}}), and give '
                "that to iosim.simulate as its profile"
            )
    folder = Path(path).parent
    if str(path) == "-":
        source = load_bytes(sys.stdin.buffer.read(), "<stdin>", lenient=True)
    else:
        try:
            data = Path(path).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise ScenarioError((Problem(str(path), 0, 0, "", "a readable file", why),)) from None
        source = load_bytes(data, str(path), lenient=True)
    if changes:
        source = apply(source, changes)
    scenario = from_source(source, force)
    # A profile that the change names is the user's, who stands elsewhere.
    scenario.__dict__["folder"] = Path() if "machine.profile" in dict(changes) else folder
    return scenario


def from_data(
    data: dict[str, Any],
    force: bool = False,
    folder: Path = Path(),
    changes: Iterable[tuple[str, str]] = (),
) -> Scenario:
    """A scenario from plain data, as `Scenario.to_data` gives it. Raises ScenarioError.

    folder: from where the files that it names are looked for, as `Scenario.folder` says.
    changes: made before it is validated, as `load` makes them.
    """
    import json

    from iosim.changes import apply
    from iosim.yaml_source import load as load_text

    text = json.dumps(data, ensure_ascii=False)
    source = load_text(text, str(folder / "<data>"))
    scenario = from_source(apply(source, changes), force)
    scenario.__dict__["folder"] = folder
    return scenario


def from_source(source: Source, force: bool = False) -> Scenario:
    """Validate what was read. Raises ScenarioError with every problem."""
    try:
        scenario = Scenario.model_validate(source.data, context=_context(source))
    except ValidationError as error:
        problems = [*problems_from(error, source), *_unknown_devices(source)]
        problems += _in_what_is_left(error, source, force)
        raise ScenarioError(_with_those_of_yaml(problems, source)) from None
    problems = [*_unknown_devices(source), *_cross_checks(scenario, source, force)]
    if problems or source.problems:
        raise ScenarioError(_with_those_of_yaml(problems, source))
    if not scenario.name:
        return scenario.model_copy(update={"name": _named_after(source.file)})
    return scenario


def _context(source: Source) -> dict[str, Any]:
    """What validation needs to know besides the data: where files are looked for."""
    return {FOLDER: Path(source.file).parent}


def _with_those_of_yaml(problems: list[Problem], source: Source) -> list[Problem]:
    """All problems; what stands in for a value that could not be read is not judged again."""
    unread = {(problem.path, problem.line) for problem in source.problems}
    told = [problem for problem in problems if (problem.path, problem.line) not in unread]
    return [*source.problems, *told]


def require_sound(scenario: Scenario) -> None:
    """Check what `load` does and `Scenario(...)` alone cannot: that its parts fit together.

    Limits are not held against it. Raises ScenarioError.
    """
    import json

    from iosim.yaml_source import load as load_text

    source = load_text(json.dumps(scenario.to_data(), ensure_ascii=False), "<scenario>")
    if problems := [*_unknown_devices(source), *_cross_checks(scenario, source, force=True)]:
        raise ScenarioError(problems)


def check_files(scenario: Scenario) -> tuple[str, ...]:
    """Check the files that the workload reads, if any; what is odd about them.

    Raises ScenarioError.
    """
    check = getattr(kinds("workloads")[scenario.workload.kind], "check_files", None)
    if check is None:
        return ()
    return tuple(check(scenario.workload.options, scenario.folder, scenario.run.duration))


def _named_after(file: str) -> str:
    """A file's name without its extension; what no output could hold of it is replaced."""
    return "".join(char if char.isprintable() else "\ufffd" for char in Path(file).stem)


def _problem(
    source: Source, path: tuple[str | int, ...], expected: str, found: str, hint: str | None = None
) -> Problem:
    from iosim.errors import path_text

    line, column = source.locate(path)
    return Problem(source.file, line, column, path_text(path), expected, found, hint)


def _unknown_devices(source: Source) -> list[Problem]:
    """Calls to devices that there are not; told of a file whatever else is wrong with it."""
    devices = source.data.get("devices")
    names = list(devices) if isinstance(devices, Mapping) else []
    problems = []
    for path, step in _steps(source):
        name = step.get("call") if isinstance(step, Mapping) else None
        if isinstance(name, str) and name not in names:
            problems.append(
                _problem(
                    source,
                    (*path, "call"),
                    f"a device under 'devices' ({', '.join(sorted(names)) or 'none'})",
                    shown(name),
                    did_you_mean(name, names),
                )
            )
    return problems


def _steps(source: Source) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Whatever stands where a handler's step should: (path, value)."""
    server = source.data.get("server")
    classes = server.get("classes") if isinstance(server, Mapping) else None
    owners: list[tuple[tuple[str | int, ...], Any]] = [(("server",), server)]
    if isinstance(classes, Mapping):
        owners += [(("server", "classes", name), one) for name, one in classes.items()]
    for path, owner in owners:
        steps = owner.get("handler") if isinstance(owner, Mapping) else None
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            yield (*path, "handler", index), step


def _in_what_is_left(error: ValidationError, source: Source, force: bool) -> list[Problem]:
    """What would be told next, were the wrong values left out; nothing if that is not enough."""
    import copy

    data = copy.deepcopy(source.data)
    for detail in error.errors(include_url=False):
        at: Any = data
        for part in detail["loc"][:-1]:
            if isinstance(at, dict) and part in at:
                at = at[part]
        if isinstance(at, dict):
            at.pop(detail["loc"][-1], None)
    try:
        problems = _cross_checks(
            Scenario.model_validate(data, context=_context(source)), source, force
        )
    except ValidationError:
        return []
    # What was left out has taken its default, by which the rest of the load is not to be judged.
    load = ("run", "workload")
    if any(str(detail["loc"][0]) in load for detail in error.errors() if detail["loc"]):
        return [problem for problem in problems if not problem.path.startswith(load)]
    return problems


def _cross_checks(scenario: Scenario, source: Source, force: bool) -> list[Problem]:
    """What no single key can tell: names that must match, parts that must fit, limits."""
    problems = [] if force else _limits(scenario, source)
    traffic = kinds("workloads")[scenario.workload.kind].TRAFFIC
    labels: set[str] = set()
    for index, model in enumerate(scenario.models):
        serves = getattr(kinds("io_models")[model.kind], "SERVES", "requests")
        if serves != traffic:
            fitting = [
                name
                for name, module in kinds("io_models").items()
                if getattr(module, "SERVES", "requests") == traffic
            ]
            problems.append(
                _problem(
                    source,
                    ("models", index),
                    f"an I/O model for a workload of {traffic} ({', '.join(fitting)})",
                    f"{shown(model.kind)}, which serves {serves}",
                    did_you_mean(model.kind, fitting),
                )
            )
        if label_of(model) in labels:
            problems.append(
                _problem(
                    source,
                    ("models", index),
                    "a label of its own for each entry of the same model",
                    f"{shown(label_of(model))} twice",
                )
            )
        labels.add(label_of(model))
    if scenario.server.classes and scenario.server.handler:
        problems.append(
            _problem(
                source,
                ("server", "handler"),
                "no handler beside 'classes', which have their own",
                "both",
            )
        )
    options = scenario.workload.options
    users = getattr(options, "users", None)
    if users is not None and users > options.connections.active_count:
        problems.append(
            _problem(
                source,
                ("workload", scenario.workload.kind, "users"),
                f"at most one user for each active connection ({options.connections.active_count})",
                str(users),
            )
        )
    problems += _impatience(scenario, source)
    problems += _strangers_in_objectives(scenario, source)
    run = scenario.run
    if isinstance(run.warm_up, int) and run.warm_up >= run.duration:
        problems.append(
            _problem(
                source,
                ("run", "warm_up"),
                f"less than the duration, {canonical_duration(run.duration)}",
                canonical_duration(run.warm_up),
            )
        )
    if run.duration > LONGEST_NS:
        problems.append(
            _problem(
                source, ("run", "duration"), "at most ten days", canonical_duration(run.duration)
            )
        )
    return problems


def _strangers_in_objectives(scenario: Scenario, source: Source) -> list[Problem]:
    """Objectives about a device or a class of requests that there is not."""
    named = {"device": list(scenario.devices), "class": list(scenario.server.classes)}
    problems = []
    for index, slo in enumerate(scenario.slos):
        what, _, rest = slo.metric.partition("_")
        if what in named and not any(rest.startswith(f"{name}_") for name in named[what]):
            hint = did_you_mean(rest.partition("_")[0], named[what])
            expected = f"a metric of a {what} of this scenario ({', '.join(named[what]) or 'none'})"
            problems.append(_problem(source, ("slo", index), expected, shown(slo.text), hint))
    return problems


def _impatience(scenario: Scenario, source: Source) -> list[Problem]:
    """What clients do about a timeout needs one, and knows which request it was."""
    workload = scenario.workload
    options = workload.options
    if kinds("workloads")[workload.kind].TRAFFIC != "requests":
        return []
    problems = []
    wants = {"on_timeout": options.on_timeout == "close", "retry": options.retry is not None}
    for key, wanted in wants.items():
        if wanted and options.timeout is None:
            problems.append(
                _problem(
                    source,
                    ("workload", workload.kind, key),
                    "a 'timeout' beside it",
                    "none: nobody ever gives up",
                )
            )
    if wants["on_timeout"] and options.connections.pipeline > 1:
        problems.append(
            _problem(
                source,
                ("workload", workload.kind, "connections", "pipeline"),
                "1 with 'on_timeout: close', which would lose the other requests under way",
                str(options.connections.pipeline),
            )
        )
    return problems


def _limits(scenario: Scenario, source: Source) -> list[Problem]:
    problems = []
    workload = scenario.workload
    requests = _requests_per_s(scenario) * scenario.run.duration / 1e9 * scenario.run.replications
    checks: list[tuple[tuple[str | int, ...], float, int, str]] = [
        (("machine", "cores"), scenario.machine.cores, MOST_CORES, "cores"),
        (
            ("run", "duration"),
            requests,
            MOST_REQUESTS,
            "requests for each model (rate x duration x replications)",
        ),
        (("run", "replications"), scenario.run.replications, MOST_REPLICATIONS, "replications"),
        *_counts(workload.options, ("workload", workload.kind)),
    ]
    for index, model in enumerate(scenario.models):
        checks += _counts(model.options, ("models", index, model.kind))
    connections = getattr(getattr(workload.options, "connections", None), "total", 0)
    # One is the listener's, three are open in every process.
    if scenario.machine.descriptors - 4 < connections <= MOST_OF_A_COUNT:
        problems.append(
            _problem(
                source,
                ("workload", workload.kind, "connections", "total"),
                f"fewer connections than machine.descriptors ({scenario.machine.descriptors:,}) "
                "less 3, as each needs one, and the listener (--force lifts this limit)",
                f"{connections:,}",
            )
        )
    expected = _requests_per_s(scenario) * scenario.run.duration / 1e9
    if 0 < expected < 1:  # of 0 the rate is unknown
        problems.append(
            _problem(
                source,
                ("run", "duration"),
                "long enough for a request at the workload's rate (--force lifts this limit)",
                f"{canonical_duration(scenario.run.duration)}, in which {expected:.2g} is expected",
            )
        )
    for path, value, most, what in checks:
        if value > most:
            problems.append(
                _problem(
                    source,
                    path,
                    f"at most {most:,} {what} (--force lifts this limit)",
                    f"{value:,.0f}",
                )
            )
    return problems


def _counts(
    options: BaseModel, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], float, int, str]]:
    """Each count among the options: (path, value, most, what is counted)."""
    for key, info in type(options).model_fields.items():
        value = getattr(options, key)
        if isinstance(value, BaseModel):
            yield from _counts(value, (*path, key))
        elif isinstance(value, int) and is_count(info):
            most = [mark.value for mark in info.metadata if isinstance(mark, Most)]
            what = str(path[-1]) if key == "total" else key.replace("_", " ")
            yield (*path, key), value, min(most, default=MOST_OF_A_COUNT), what


def _requests_per_s(scenario: Scenario) -> float:
    """How many requests there may be a second, roughly, and rather too many; 0: unknown."""
    options = scenario.workload.options
    if hasattr(options, "requests_per_s"):
        return float(options.requests_per_s)
    if hasattr(options, "rate"):
        return float(options.rate)
    if hasattr(options, "users"):
        cycle_ns = options.think.options.mean_ns() + scenario.server.mean_cpu_ns
        return float(options.users * 1e9 / max(cycle_ns, 1_000))
    if hasattr(options, "produce"):
        return float(options.producers * 1e9 / max(options.produce.options.mean_ns(), 1_000))
    return 0.0
