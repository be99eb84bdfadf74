"""The tables in which results are shown: what was simulated, and what came out.

Each mean stands with the half width of its 95% interval: under it, beside it, or, in
tables of many parts of one whole, as the widest of its row in the last column. Counts of
requests are sums over all replications, which have no interval.

Scope: simulated and measured results alike; the same tables for terminal, Markdown, HTML.
Not done: layout (layout.py) and judgement (finding.py).
Validated by: tests/cli/test_table.py, tests/cli/test_run_command.py
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from iosim.plugins import kinds
from iosim.record import Record
from iosim.report.layout import Cell, Column, Table
from iosim.results import SHARES, ModelResult, Results
from iosim.scenario import Scenario
from iosim.statistics import Estimate, relative_half_width
from iosim.units import format_count, format_duration_ns, format_size

NONE = "-"
"""What stands for a value that does not exist."""

LABEL = Column("model")


def traffic(scenario: Scenario) -> str:
    """What the scenario's workload makes: requests, or items."""
    made: str = kinds("workloads")[scenario.workload.kind].TRAFFIC
    return made


# ------------------------------------------------------------------ values and intervals


def duration(ns: float) -> str:
    """A duration as narrow as it can be."""
    if 0 < ns < 1:  # a mean over many requests, of which few had any
        return "<1ns"
    return format_duration_ns(ns).replace(" ", "")


def percent(fraction: float) -> str:
    """A percentage to a tenth, so that parts of one whole add up."""
    return f"{100 * fraction:.1f}%"


def per_request(count: float) -> str:
    """A mean count of small things."""
    return "0" if count == 0 else f"{count:.2f}" if count < 99.995 else format_count(count)


def half_width(estimate: Estimate) -> str:
    """Half the interval, relative to the mean and rounded up: `±3%`.

    Empty if it is unknown, or if every replication gave zero.
    """
    relative = relative_half_width(estimate)
    if relative is None or estimate.mean == 0:
        return ""
    return f"±{_rounded_up(100 * relative)}%" if relative else "±0"


def _rounded_up(value: float) -> str:
    """Two digits at most behind which nothing is hidden."""
    # The subtraction forgives what a binary fraction adds to a decimal one.
    tenths = ceil(10 * value - 1e-9)
    return f"{tenths / 10:g}" if tenths < 100 else f"{ceil(value - 1e-9)}"


def cell(estimate: Estimate | None, show: Callable[[float], str]) -> Cell:
    """A mean with its interval, which is left out where nothing but zeros is shown."""
    if estimate is None or estimate.mean is None:
        return Cell(NONE)
    text = show(estimate.mean)
    return Cell(text, half_width(estimate) if any(digit in "123456789" for digit in text) else "")


def _widest(estimates: Iterable[Estimate | None], show: Callable[[float], str]) -> Cell:
    """The largest half width of several estimates."""
    halves = [
        estimate.high - estimate.mean
        for estimate in estimates
        if estimate is not None and estimate.mean is not None and estimate.high is not None
    ]
    return Cell(f"±{show(max(halves))}" if halves else NONE)


# ------------------------------------------------------------------------ the main table


@dataclass(frozen=True)
class Measure(Column):
    """A column that shows one metric."""

    metric: str = ""
    show: Callable[[float], str] = format_count


COLUMNS: tuple[Column, ...] = (
    LABEL,
    Measure("requests/s", "req/s", "", "throughput_per_s", format_count),
    Measure("p50", "p50", "response time", "response_time_p50_ns", duration),
    Measure("p99", "p99", "response time", "response_time_p99_ns", duration),
    Measure("CPU busy", "busy", "CPU", "cpu_utilization", percent),
    Measure("busiest thread", "thread", "CPU", "cpu_utilization_busiest_thread", percent),
    Measure("CPU/request", "/req", "CPU", "cpu_time_per_request_ns", duration),
    Measure(
        "voluntary switches/request",
        "vol.",
        "switches/req",
        "voluntary_switches_per_request",
        per_request,
    ),
    Measure(
        "involuntary switches/request",
        "invol.",
        "switches/req",
        "involuntary_switches_per_request",
        per_request,
    ),
    Measure("syscalls/request", "/req", "syscalls", "syscalls_per_request", per_request),
)
"""What a performance engineer looks at first."""


def row(model: ModelResult, columns: Iterable[Column] = COLUMNS) -> tuple[Cell, ...]:
    """A model's label and its values in `columns`."""
    values = (
        cell(model.metrics.get(column.metric), column.show)
        for column in columns
        if isinstance(column, Measure)
    )
    return (Cell(model.label), *values)


def cells(model: ModelResult) -> list[str]:
    """A model's row as text: each value with its interval."""
    return [str(cell) for cell in row(model)]


def main_table(results: Results) -> Table:
    """One row a model, intervals under the values."""
    made = traffic(results.scenario)
    columns = list(COLUMNS)
    if made == "items":
        columns = [of_items(column) for column in columns]
    shown = [column for column in columns if not _unknown(results, column)]
    return Table(
        "",
        tuple(shown),
        tuple(row(model, shown) for model in results.models),
        (
            *_about_machine(results),
            _about_intervals(results),
            *_about_gaps(results, columns),
            *_about_interpreter_lock(results),
        ),
        stacked=True,
    )


def _unknown(results: Results, column: Column) -> bool:
    """Whether a column shows what could not be measured of any model."""
    return (
        results.source == "measured"
        and isinstance(column, Measure)
        and any(model.records for model in results.models)
        and all(_mean(model, column.metric) is None for model in results.models)
    )


def _about_machine(results: Results) -> Iterable[str]:
    if results.machine is not None:
        from iosim.real.this_machine import one_line

        yield f"Measured on {one_line(results.machine)}."


def of_items(column: Column) -> Column:
    """A column of requests, in the words of a pipeline."""

    def worded(text: str) -> str:
        return text.replace("request", "item").replace("req", "item")

    if not isinstance(column, Measure):
        return column
    group = worded(column.group).replace("response time", "made to used")
    return Measure(worded(column.title), worded(column.head), group, column.metric, column.show)


def _mean(model: ModelResult, metric: str) -> float | None:
    estimate = model.metrics.get(metric)
    return estimate.mean if estimate is not None else None


def _about_intervals(results: Results) -> str:
    counts = sorted({len(model.records) for model in results.models if model.records})
    if not counts:
        return "Nothing was finished, so there is nothing to show."
    if counts[-1] == 1:
        return (
            "One replication: what one run gave. There is no interval, and no telling how far "
            "the next run would be off."
        )
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return (
        f"±: the mean's 95% confidence interval over {number} replications, as half width, "
        "rounded up."
    )


def _about_gaps(results: Results, columns: Iterable[Column]) -> Iterable[str]:
    """Why a value is missing, in all replications or in some."""
    why: dict[str, dict[str, list[str]]] = {}
    for column in columns:
        if isinstance(column, Measure):
            for model in results.models:
                undefined = model.undefined(column.metric) if model.records else None
                if undefined is not None:
                    titles = why.setdefault(undefined, {})
                    titles.setdefault(column.title, []).append(model.label)
    for undefined, titles in why.items():
        by_models: dict[str, list[str]] = {}
        for title, labels in titles.items():
            by_models.setdefault(", ".join(labels), []).append(title)
        for models, shown in by_models.items():
            yield f"{', '.join(shown)} of {models}: {undefined}."


COMPUTES = 0.05
"""A thread that has this part of a core computes, and does not only wait."""


def _about_interpreter_lock(results: Results) -> Iterable[str]:
    """Where several threads compute under CPython's lock: what is less sure than the rest."""
    told = []
    for model in results.models:
        held = _mean(model, "interpreter_lock_utilization")
        computing = max((_computing(record) for record in model.records), default=0)
        # Processes do not share theirs.
        shared = all(r.interpreter_lock and r.interpreter_lock.locks == 1 for r in model.records)
        if held is not None and computing > 1 and shared:
            told.append(f"{model.label} (held {percent(held)} of the time)")
    if told:
        yield (
            f"Several threads compute and share CPython's interpreter lock: {', '.join(told)}. "
            "How far such a run is off: docs/topics/machine.md, Known deviations."
        )


def _computing(record: Record) -> int:
    return sum((thread.cpu_ns or 0) > COMPUTES * record.duration_ns for thread in record.threads)


# --------------------------------------------------------------------------- more tables


def tables(results: Results) -> list[Table]:
    """All tables: the main one, then where time went, and what else counts."""
    found = [
        *saturation(results),
        main_table(results),
        *_cpu_time(results),
        *_response_time(results),
        *_classes(results),
        *_besides(results),
        *_syscalls(results),
        *_devices(results),
        *_order(results),
        *_fates(results),
    ]
    return [table for table in found if table.rows]


def saturation(results: Results) -> Iterable[Table]:
    """What each model answers at most, and the rates to give as loads."""
    if not results.saturation:
        return
    rows = []
    for model in results.models:
        most = model.metrics.get("throughput_per_s")
        if most is not None and most.mean is not None:
            rates = [Cell(f"{share * most.mean:,.0f}") for share in SHARES]
            rows.append((Cell(model.label), cell(most, lambda rate: f"{rate:,.0f}"), *rates))
    columns = (Column("at most"), *(Column(f"{share:.0%} of it") for share in SHARES))
    yield Table(
        "Requests per second at saturation, and the rates at parts of it",
        (LABEL, *columns),
        tuple(rows),
        ("As many users as there are active connections, each asking again at once.",),
    )


def _shares(
    results: Results,
    title: str,
    parts: Mapping[str, str],
    show: Callable[[float], str],
    show_half: Callable[[float], str],
    notes: tuple[str, ...] = (),
) -> Iterable[Table]:
    """Parts of one whole, without those that are zero for every model."""
    models = [model for model in results.models if model.records]
    shown = [name for name in parts if any(_mean(model, name) for model in models)]
    rows = []
    for model in models:
        estimates = [model.metrics.get(name) for name in shown]
        texts = (Cell(cell(estimate, show).text) for estimate in estimates)
        rows.append((Cell(model.label), *texts, _widest(estimates, show_half)))
    columns = (LABEL, *(Column(parts[name]) for name in shown), Column("±"))
    yield Table(title, columns, tuple(rows), notes)


def _cpu_time(results: Results) -> Iterable[Table]:
    causes = ("user", "syscall", "switch", "refill", "softirq", "spin", "idle", "stolen")
    return _shares(
        results,
        "Where the cores' time goes (% of all cores; ±: the widest in the row, in points)",
        {f"cpu_{cause}_fraction": cause for cause in causes},
        lambda fraction: f"{100 * fraction:.1f}",
        lambda fraction: f"{ceil(1000 * fraction - 1e-9) / 10:.1f}",
        ("switch: context switches, and the part of the exits from idle that is charged.",),
    )


def _response_time(results: Results) -> Iterable[Table]:
    parts = {
        "response_time_mean_ns": "mean",
        "time_client_ns": "client",
        "time_network_ns": "network",
        "time_queue_ns": "queue",
        "time_wake_up_ns": "wake-up",
        "time_run_queue_ns": "run q.",
        "time_cpu_ns": "CPU",
        "time_lock_ns": "lock",
        "time_device_ns": "device",
    }
    if results.source == "measured":
        return ()
    return _shares(
        results,
        f"Where the time of {_a(_one(results))} goes (means; ±: the widest in the row)",
        parts,
        lambda ns: duration(ns) if ns else "0",
        duration,
    )


def _classes(results: Results) -> Iterable[Table]:
    for name in results.scenario.server.classes:
        columns = (
            Measure("requests/s", metric=f"class_{name}_throughput_per_s", show=format_count),
            Measure("mean", metric=f"class_{name}_response_time_mean_ns", show=duration),
            Measure("p50", metric=f"class_{name}_response_time_p50_ns", show=duration),
            Measure("p99", metric=f"class_{name}_response_time_p99_ns", show=duration),
        )
        rows = []
        for model in results.models:
            if model.records:
                completed = sum(record.classes[name].completed for record in model.records)
                rows.append((*row(model, columns), Cell(f"{completed:,}")))
        yield Table(
            f"Requests of class {name} (completed: a sum over all replications)",
            (LABEL, *columns, Column("completed")),
            tuple(rows),
            tuple(_about_gaps(results, columns)),
        )


def _besides(results: Results) -> Iterable[Table]:
    """What is neither a context switch nor a syscall, for the models that have any."""
    columns = [
        Measure("migrations", metric="migrations_per_request", show=per_request),
        Measure("coroutine switches", metric="coroutine_switches_per_request", show=per_request),
        Measure("wasted polls", metric="wasted_polls_per_request", show=per_request),
        Measure("events/wait", metric="events_per_wait", show=per_request),
    ]
    yield from _where_any(results, f"Besides, per {_one(results)} or as said", columns)
    own_work = Measure("of the cores' time", metric="own_work_fraction", show=percent)
    yield from _where_any(results, "The server's own work", [own_work])


def _where_any(results: Results, title: str, columns: list[Measure]) -> Iterable[Table]:
    """A table without columns and rows in which all is zero."""
    shown = [c for c in columns if any(_mean(model, c.metric) for model in results.models)]
    rows = [
        row(model, shown)
        for model in results.models
        if any(_mean(model, column.metric) for column in shown)
    ]
    yield Table(title, (LABEL, *shown), tuple(rows))


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _one(results: Results) -> str:
    return traffic(results.scenario).removesuffix("s")


SYSCALLS_WIDTH = 50
"""A model's syscalls by name are shown as far as they fit, the most frequent first."""


def _syscalls(results: Results) -> Iterable[Table]:
    texts = {model.label: _syscalls_of(model) for model in results.models}
    longest = max((len(text) for text, _ in texts.values()), default=0)
    rows = [
        (Cell(label), Cell(text.ljust(longest)), Cell(widest))
        for label, (text, widest) in texts.items()
        if text
    ]
    yield Table(
        f"Syscalls per {_one(results)}, the most frequent (±: the widest in the row)",
        (LABEL, Column(" "), Column("±")),
        tuple(rows),
    )


def _syscalls_of(model: ModelResult) -> tuple[str, str]:
    """A model's most frequent syscalls as text, and their widest interval."""
    found = [
        (estimate.mean, name.removeprefix("syscalls_").removesuffix("_per_request"), estimate)
        for name, estimate in model.metrics.items()
        if name.startswith("syscalls_") and name != "syscalls_per_request"
        if estimate.mean is not None and estimate.mean >= 0.05
    ]
    text, widest = "", 0.0
    for mean, name, estimate in sorted(found, key=lambda entry: (-round(entry[0], 2), entry[1])):
        longer = f"{text}{', ' if text else ''}{name} {per_request(mean)}"
        if len(longer) > SYSCALLS_WIDTH:
            break
        text = longer
        widest = max(widest, relative_half_width(estimate) or 0.0)
    return text, f"±{_rounded_up(100 * widest)}%" if len(model.records) > 1 else NONE


def _devices(results: Results) -> Iterable[Table]:
    for name in results.scenario.devices:
        columns = (
            Measure("utilization", metric=f"device_{name}_utilization", show=percent),
            Measure("in service", metric=f"device_{name}_in_service", show=per_request),
            Measure("queue", metric=f"device_{name}_queue", show=per_request),
            Measure("calls/s", metric=f"device_{name}_calls_per_s", show=format_count),
        )
        limited = [
            c for c in columns if any(_mean(m, c.metric) is not None for m in results.models)
        ]
        if not limited:
            continue
        rows = (row(model, limited) for model in results.models if model.records)
        yield Table(f"Device {name}", (LABEL, *limited), tuple(rows))


ORDER_WIDTH = 40


def _order(results: Results) -> Iterable[Table]:
    """How a pipeline's first steps followed each other."""
    rows = []
    for model in results.models:
        orders = [record.order for record in model.records if record.order]
        if orders:
            same = "always" if len(set(orders)) == 1 else f"{len(set(orders))} different"
            how = same if len(orders) > 1 else NONE
            rows.append((Cell(model.label), Cell(orders[0][:ORDER_WIDTH]), Cell(how)))
    yield Table(
        "Order of the first steps (P: an item made, C: one taken)",
        (LABEL, Column("first replication"), Column("in all")),
        tuple(rows),
    )


def _fates(results: Results) -> Iterable[Table]:
    what = traffic(results.scenario)
    fates = ["offered", "completed", "refused", "timed_out", "in_flight"]
    if any(record.failed for model in results.models for record in model.records):
        fates.insert(2, "failed")
    rows = []
    for model in results.models:
        if model.records:
            sums = [sum(getattr(record, fate) for record in model.records) for fate in fates]
            memory_bytes = max(record.memory_peak_bytes for record in model.records)
            rows.append(
                (
                    Cell(model.label),
                    *(Cell(f"{count:,}") for count in sums),
                    Cell(format_size(memory_bytes)),
                )
            )
    heads = (*(fate.replace("_", " ") for fate in fates), "peak memory")
    yield Table(
        f"What became of the {what}, all replications together",
        (LABEL, *map(Column, heads)),
        tuple(rows),
    )
