"""Scenarios: what is right loads and reads back equal; what is wrong is told where it stands."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticSerializationError

import iosim.scenario
from iosim import yaml_source
from iosim.errors import Problem, ScenarioError
from iosim.plugins import kinds
from iosim.scenario import Scenario, from_data, from_source, label_of, load
from iosim.workload import Connections

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "scenarios").glob("*.yaml"))
TEMPLATE = ROOT / "iosim" / "template.yaml"

BASE = """\
name: base
machine:
  cores: 2
  scheduler: eevdf
  network: loopback
  runtime: native
server:
  handler:
    - cpu: 20us
    - call: database
    - sleep: 1ms
  working_set: 64KiB
devices:
  database:
    remote: {latency: {exponential: 1ms}, concurrency: 8}
workload:
  open:
    rate: 2k/s
    connections: {total: 100, active: 50%}
    timeout: 1s
models:
  - blocking
  - epoll: {max_events: 64}
  - epoll: {trigger: edge, label: edge}
run:
  duration: 100ms
  replications: 3
slo:
  - p99 < 5ms
"""

OPEN = BASE[BASE.index("  open:\n") : BASE.index("models:\n")]
MODELS = BASE[BASE.index("models:\n") : BASE.index("run:\n")]
HANDLER = BASE[BASE.index("  handler:\n") : BASE.index("  working_set")]


PRINTABLE = st.characters(exclude_categories=["Cc", "Cs", "Cn"])


def read(text: str, force: bool = False) -> Scenario:
    return from_source(yaml_source.load(text, "f.yaml", lenient=True), force)


def changed(right: str, wrong: str) -> str:
    assert BASE.count(right) == 1, right
    return BASE.replace(right, wrong)


def problems(text: str, force: bool = False) -> tuple[Problem, ...]:
    with pytest.raises(ScenarioError) as caught:
        read(text, force)
    assert caught.value.exit_code == 2
    return caught.value.problems


def told(text: str) -> list[str]:
    return [str(problem) for problem in problems(text)]


def paths_of_problems(data: dict[str, Any]) -> list[str]:
    try:
        from_data(data)
    except ScenarioError as error:
        return [problem.path for problem in error.problems]
    return []


def content(scenario: Scenario) -> dict[str, Any]:
    data = scenario.to_data()
    # Named after its file, which a scenario from elsewhere is not.
    del data["name"]
    return data


class TestShipped:
    def test_there_are_those_that_the_issue_asked_for(self) -> None:
        assert {path.stem for path in SHIPPED} >= {
            "quickstart",
            "c10k",
            "select_vs_epoll",
            "slow_device",
            "cpu_bound",
            "mixed_own_work",
            "interpreter_lock_convoy",
            "producer_consumer",
            "deadlock",
        }

    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
    def test_each_loads_and_reads_back_equal(self, path: Path) -> None:
        scenario = load(path)
        assert scenario.name == path.stem
        again = from_data(json.loads(json.dumps(scenario.to_data())), folder=path.parent)
        assert again == scenario
        assert again.digest == scenario.digest

    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
    def test_each_tells_the_editor_its_schema_and_the_reader_its_point(self, path: Path) -> None:
        modeline, comment, *_ = path.read_text(encoding="utf-8").splitlines()
        match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", modeline)
        assert match is not None
        schema = (path.parent / match[1]).resolve()
        assert schema == ROOT / "iosim" / "scenario.schema.json"
        assert schema.is_file()
        assert re.match(r"# \S+ \S+", comment)

    def test_the_template_is_sound(self) -> None:
        assert "# yaml-language-server: $schema=" in TEMPLATE.read_text(encoding="utf-8")
        scenario = load(TEMPLATE)
        assert len(scenario.models) > 3
        assert len(scenario.slos) == 2

    def test_no_two_are_the_same(self) -> None:
        assert len({json.dumps(content(load(path))) for path in SHIPPED}) == len(SHIPPED)

    def test_every_io_model_is_in_one(self) -> None:
        used = {model.kind for path in SHIPPED for model in load(path).models}
        assert used == {
            path.stem
            for path in (ROOT / "iosim" / "io_models").glob("*.py")
            if path.stem != "__init__"
        }


class TestSchema:
    def test_the_shipped_file_is_what_the_code_says(self) -> None:
        path = ROOT / "iosim" / "scenario.schema.json"
        shipped = json.loads(path.read_text(encoding="utf-8"))
        assert shipped.pop("$schema") == "https://json-schema.org/draft/2020-12/schema"
        generated = json.loads(json.dumps(Scenario.model_json_schema()))
        assert shipped == generated, "write it again: iosim schema > iosim/scenario.schema.json"

    def test_every_section_and_option_is_described(self) -> None:
        undescribed = []

        def look(schema: Any, path: str) -> None:
            if isinstance(schema, dict):
                for name, part in schema.get("properties", {}).items():
                    # A kind under its choice is described by its own class.
                    if not ({"description", "anyOf", "$ref"} & set(part)):
                        undescribed.append(f"{path}.{name}")
                for key, part in schema.items():
                    look(part, f"{path}.{key}")
            elif isinstance(schema, list):
                for index, part in enumerate(schema):
                    look(part, f"{path}[{index}]")

        look(Scenario.model_json_schema(), "")
        assert undescribed == []


class TestReading:
    def test_what_is_left_out_has_its_default(self) -> None:
        scenario = read("workload: {open: {rate: 1/s}}\nmodels: [epoll]")
        assert scenario.name == "f"
        machine = scenario.machine
        assert (machine.cores, machine.runtime, machine.profile) == (1, "native", "reference")
        assert (machine.scheduler.kind, machine.network.kind) == ("eevdf", "loopback")
        assert scenario.server.handler == ()
        assert scenario.server.own_work is None
        assert scenario.devices == {}
        assert scenario.workload.options.connections.total == 100
        run = scenario.run
        assert (run.duration, run.replications, run.warm_up, run.seed) == (10**9, 5, "auto", 1)
        assert scenario.slos == ()

    def test_what_is_given_is_what_is_held(self) -> None:
        scenario = read(BASE)
        assert scenario.name == "base"
        assert scenario.machine.cores == 2
        steps = [step.model_dump(mode="json") for step in scenario.server.handler]
        assert steps == [
            {"cpu": {"deterministic": {"value": "20us"}}},
            {"call": "database", "on_error": "fail", "attempts": 3},
            {"sleep": {"deterministic": {"value": "1ms"}}},
        ]
        assert scenario.server.working_set == 64 * 1024
        database = scenario.devices["database"]
        assert (database.kind, database.options.concurrency) == ("remote", 8)
        assert database.options.latency.options.mean_ns() == 1e6
        assert scenario.workload.options.rate == 2000.0
        assert scenario.workload.options.connections.active_count == 50
        assert scenario.workload.options.timeout == 10**9
        assert [label_of(model) for model in scenario.models] == ["blocking", "epoll", "edge"]
        assert scenario.models[1].options.max_events == 64
        assert scenario.run.duration == 100_000_000
        assert [slo.metric for slo in scenario.slos] == ["response_time_p99_ns"]

    @pytest.mark.parametrize("name", ["fast 🚀", "größer", "a: b", "#1", "'", "true", "1e6", "-"])
    def test_any_name_reads_back(self, name: str) -> None:
        quoted = json.dumps(name, ensure_ascii=False)
        text = changed("name: base", f"name: {quoted}").replace("label: edge", f"label: {quoted}")
        scenario = read(text.replace("database", quoted))
        assert (scenario.name, label_of(scenario.models[2])) == (name, name)
        assert [*scenario.devices] == [name]
        assert from_data(scenario.to_data()) == scenario

    def test_a_scenario_is_frozen(self) -> None:
        scenario = read(BASE)
        with pytest.raises(ValueError, match="frozen"):
            scenario.run.seed = 3
        with pytest.raises(ValueError, match="frozen"):
            scenario.machine.cores = 3

    @pytest.mark.parametrize(
        ("total", "active", "count"),
        [(100, "100%", 100), (100, "1%", 1), (100, "0.5%", 1), (100, "0%", 1), (7, "50%", 4)],
    )
    def test_at_least_one_connection_is_active(self, total: int, active: str, count: int) -> None:
        connections = Connections.model_validate({"total": total, "active": active})
        assert connections.active_count == count

    def test_a_file_that_cannot_be_read_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ScenarioError, match=r"none\.yaml: expected a readable file, found"):
            load(tmp_path / "none.yaml")
        with pytest.raises(ScenarioError, match="expected a readable file, found"):
            load(tmp_path)


class TestDigest:
    def test_the_name_is_no_content(self, tmp_path: Path) -> None:
        for name in ("one.yaml", "two.yaml"):
            (tmp_path / name).write_text(BASE.replace("name: base\n", ""))
        one, two = load(tmp_path / "one.yaml"), load(tmp_path / "two.yaml")
        assert one.name != two.name
        assert one.digest == two.digest == read(BASE).digest

    def test_it_is_sha256_of_the_content(self) -> None:
        assert re.fullmatch("[0-9a-f]{64}", read(BASE).digest)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("cores: 2", "cores: 2  # as many as there are"),
            ("cores: 2", "cores: 2.0"),
            ("cpu: 20us", "cpu: 0.02ms"),
            ("cpu: 20us", "cpu: {deterministic: 20us}"),
            ("cpu: 20us", "cpu: {deterministic: {value: 20 us}}"),
            ("scheduler: eevdf", "scheduler: {eevdf: {}}"),
            ("rate: 2k/s", "rate: 2000/s"),
            ("- blocking", "- blocking: {own_work_thread: false}"),
            ("{total: 100, active: 50%}", "{active: 50%, total: 100}"),
            ("  duration: 100ms\n  replications: 3", "  replications: 3\n  duration: 100ms"),
            (HANDLER + "  working_set: 64KiB", "  working_set: 64KiB\n" + HANDLER.rstrip()),
            ("replications: 3", "replications: 3\n  seed: 1"),
        ],
    )
    def test_another_spelling_of_the_same(self, one: str, other: str) -> None:
        assert read(changed(one, other)).digest == read(BASE).digest

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("cores: 2", "cores: 3"),
            ("scheduler: eevdf", "scheduler: {eevdf: {slice: 1ms}}"),
            ("cpu: 20us", "cpu: 21us"),
            ("replications: 3", "replications: 3\n  seed: 2"),
            ("label: edge", "label: edged"),
            ("p99 < 5ms", "p99 < 6ms"),
            ("    - call: database\n    - sleep: 1ms", "    - sleep: 1ms\n    - call: database"),
        ],
    )
    def test_another_content(self, one: str, other: str) -> None:
        assert read(changed(one, other)).digest != read(BASE).digest

    def test_sections_in_any_order(self) -> None:
        sections = re.findall(r"^\S[^\n]*\n(?: [^\n]*\n)*", BASE, re.MULTILINE)
        assert len(sections) == 8
        assert read("".join(reversed(sections))).digest == read(BASE).digest


DURATION = "expected a duration with its unit, such as 20us"
COUNT = "expected a count, such as 100 or 10k"
RATE = "expected a rate with its unit, such as 10k/s"

# name: (what is right in BASE, what stands there instead, the one problem that is told)
BROKEN = {
    "an unknown section": (
        "name: base",
        "nmae: base",
        "1:1: nmae: expected one of the keys 'name', 'machine', 'server', 'devices', 'workload',"
        " 'models', 'run' or 'slo', found 'nmae'; did you mean 'name'?",
    ),
    "an unknown key": (
        "cores: 2",
        "coers: 2",
        "3:3: machine.coers: expected one of the keys 'cores', 'scheduler', 'network', 'runtime',"
        " 'profile', 'host_noise', 'descriptors', 'backlog' or 'send_buffer', found 'coers';"
        " did you mean 'cores'?",
    ),
    "a list for a mapping": (
        "machine:\n  cores: 2\n  scheduler: eevdf\n  network: loopback\n  runtime: native\n",
        "machine: [2, 3]\n",
        "2:1: machine: expected a mapping, found a list",
    ),
    "a mapping for a list": (
        HANDLER,
        "  handler: {cpu: 20us}\n",
        "8:3: server.handler: expected a list, found a mapping",
    ),
    "a word for a list": (
        MODELS,
        "models: epoll\n",
        "21:1: models: expected a list, found 'epoll'",
    ),
    "a number for a name": ("name: base", "name: 12", "1:1: name: expected a string, found 12"),
    "no cores": ("cores: 2", "cores: 0", f"3:3: machine.cores: {COUNT}, more than 0, found 0"),
    "cores below none": (
        "cores: 2",
        "cores: -1",
        "3:3: machine.cores: expected a count, such as 100 or 10k, more than 0, found -1",
    ),
    "a list at the top": (BASE, "- a\n- b\n", "1:1: expected a mapping at the top, found a list"),
    "a list of kinds, all unknown": (
        MODELS,
        "models: [bloking]\n",
        "21:10: models[0]: expected one I/O model: 'aio', 'asyncio', 'blocking', 'coroutine',"
        " 'coroutines', 'epoll', 'goroutine', 'io_uring', 'nonblocking', 'poll', 'prefork',"
        " 'select', 'signal_driven', 'thread_pool', 'thread_pool_callbacks', 'threads' or"
        " 'uvloop', found 'bloking'; did you mean 'blocking'?",
    ),
    "a bool for a number": ("cores: 2", "cores: true", f"3:3: machine.cores: {COUNT}, found true"),
    "half a core": (
        "cores: 2",
        "cores: 1.5",
        "3:3: machine.cores: expected a whole number, found 1.5",
    ),
    "a word for a number": ("cores: 2", "cores: two", f"3:3: machine.cores: {COUNT}, found 'two'"),
    "nothing for a number": (
        "cores: 2",
        "cores:",
        f"3:3: machine.cores: {COUNT}, found nothing (null)",
    ),
    "a key given twice": (
        "cores: 2",
        "cores: 2\n  cores: 4",
        "4:3: machine.cores: expected each key once, found 'cores' again, first on line 3,"
        " column 3",
    ),
    "a misspelt scheduler": (
        "scheduler: eevdf",
        "scheduler: evdf",
        "4:3: machine.scheduler: expected one scheduler: 'eevdf', 'fifo' or 'round_robin', found"
        " 'evdf'; did you mean 'eevdf'?",
    ),
    "an unknown option of a scheduler": (
        "scheduler: eevdf",
        "scheduler: {round_robin: {slce: 2ms}}",
        "4:29: machine.scheduler.round_robin.slce: expected one of the keys 'slice', found 'slce';"
        " did you mean 'slice'?",
    ),
    "two networks": (
        "network: loopback",
        "network: {loopback: {}, nic: {latency: 50us}}",
        "5:3: machine.network: expected one network: 'loopback' or 'nic', found 2 keys:"
        " 'loopback' and 'nic'",
    ),
    "a network without what it needs": (
        "network: loopback",
        "network: nic",
        "5:3: machine.network: expected key 'latency' under 'nic', found only 'nic'",
    ),
    "a device for a network": (
        "network: loopback",
        "network: remote",
        "5:3: machine.network: expected one network: 'loopback' or 'nic', found 'remote'",
    ),
    "a misspelt runtime": (
        "runtime: native",
        "runtime: cpyton",
        "6:3: machine.runtime: expected 'native' or 'cpython', found 'cpyton'; did you mean"
        " 'cpython'?",
    ),
    "a bare number for a duration": (
        "duration: 100ms",
        "duration: 100",
        f"26:3: run.duration: {DURATION}, found 100",
    ),
    "a wrong unit of time": (
        "duration: 100ms",
        "duration: 100msec",
        f"26:3: run.duration: {DURATION}, found '100msec'; did you mean 'ms'?",
    ),
    "a duration of zero": (
        "duration: 100ms",
        "duration: 0s",
        f"26:3: run.duration: {DURATION}, more than 0, found '0s'",
    ),
    "a duration beyond all bounds": (
        "duration: 100ms",
        "duration: 1e999s",
        f"26:3: run.duration: {DURATION}, below 2**63, found '1e999s'",
    ),
    "a bare number in a step": (
        "cpu: 20us",
        "cpu: 20",
        f"9:7: server.handler[0].cpu: {DURATION}, found 20",
    ),
    "a negative step": (
        "cpu: 20us",
        "cpu: -20us",
        f"9:7: server.handler[0].cpu: {DURATION}, not negative, found '-20us'",
    ),
    "a step that is not a number": (
        "cpu: 20us",
        "cpu: .nan",
        "9:12: server.handler[0].cpu: expected a finite number, found .nan",
    ),
    "a misspelt distribution": (
        "cpu: 20us",
        "cpu: {exponental: 20us}",
        "9:13: server.handler[0].cpu.exponental: expected one distribution: 'deterministic',"
        " 'exponential', 'uniform', 'lognormal', 'pareto', 'bimodal' or 'empirical', found"
        " 'exponental'; did"
        " you mean 'exponential'?",
    ),
    "a p99 below the median": (
        "cpu: 20us",
        "cpu: {lognormal: {median: 5ms, p99: 1ms}}",
        "9:13: server.handler[0].cpu.lognormal: expected p99 above the median, 5ms, found p99 1ms",
    ),
    "a misspelt step": (
        "cpu: 20us",
        "cpuu: 20us",
        "9:7: server.handler[0].cpuu: expected a step: 'cpu: 20us', 'call: DEVICE' or 'sleep: 1ms',"
        " found 'cpuu'; did you mean 'cpu'?",
    ),
    "a call of a number": (
        "call: database",
        "call: 3",
        "10:7: server.handler[1].call: expected a string, found 3",
    ),
    "a device that is not defined": (
        "call: database",
        "call: databse",
        "10:7: server.handler[1].call: expected a device under 'devices' (database), found"
        " 'databse'; did you mean 'database'?",
    ),
    "a bare number for a size": (
        "working_set: 64KiB",
        "working_set: 64",
        "12:3: server.working_set: expected a size with its unit, such as 64KiB, found 64",
    ),
    "a size with two meanings": (
        "working_set: 64KiB",
        "working_set: 64KB",
        "12:3: server.working_set: expected a size with its unit, such as 64KiB, found '64KB'; did"
        " you mean 'KiB' or 'kB' (1000)?",
    ),
    "own work without its chunk": (
        "working_set: 64KiB",
        "own_work: {}",
        "12:3: server.own_work: expected key 'chunk', found an empty mapping",
    ),
    "a misspelt device": (
        "remote: {",
        "remot: {",
        "15:5: devices.database.remot: expected one device: 'disk', 'dns' or 'remote', found"
        " 'remot'; did you mean 'remote'?",
    ),
    "a device without its latency": (
        "latency: {exponential: 1ms}, concurrency: 8",
        "concurrency: 8",
        "15:5: devices.database.remote: expected key 'latency', found only 'concurrency'",
    ),
    "a device that serves none": (
        "concurrency: 8",
        "concurrency: 0",
        f"15:43: devices.database.remote.concurrency: {COUNT}, more than 0, found 0",
    ),
    "a misspelt workload": (
        "open:",
        "opne:",
        "17:3: workload.opne: expected one workload: 'closed', 'on_off', 'open', "
        "'producer_consumer', 'trace' or 'varying', found 'opne'; did you mean 'open'?",
    ),
    "a rate of zero": (
        "rate: 2k/s",
        "rate: 0/s",
        f"18:5: workload.open.rate: {RATE}, more than 0, found '0/s'",
    ),
    "a bare number for a rate": (
        "rate: 2k/s",
        "rate: 2000",
        f"18:5: workload.open.rate: {RATE}, found 2000; the units are /s, /ms, /min"
        " and /h, after k, M or G if need be",
    ),
    "an endless rate": (
        "rate: 2k/s",
        "rate: .inf",
        "18:11: workload.open.rate: expected a finite number, found .inf",
    ),
    "no rate": (
        "    rate: 2k/s\n",
        "",
        "17:3: workload.open: expected key 'rate', found only 'connections' and 'timeout'",
    ),
    "a fraction without its sign": (
        "active: 50%",
        "active: 0.5",
        "19:31: workload.open.connections.active: expected a percentage with its sign, such as"
        " 10%, found 0.5",
    ),
    "more than all": (
        "active: 50%",
        "active: 150%",
        "19:31: workload.open.connections.active: expected at most 100%, found '150%'",
    ),
    "minutes or milliseconds": (
        "timeout: 1s",
        "timeout: 1m",
        f"20:5: workload.open.timeout: {DURATION}, found '1m'; did you mean 'ms' or 'min'?",
    ),
    "more users than active connections": (
        OPEN,
        "  closed: {users: 51, think: 1ms, connections: {total: 100, active: 50%}}\n",
        "17:12: workload.closed.users: expected at most one user for each active connection (50),"
        " found 51",
    ),
    "a misspelt option of a model": (
        "max_events: 64",
        "max_event: 64",
        "23:13: models[1].epoll.max_event: expected one of the keys 'trigger', 'max_events',"
        " 'min_wait', 'workers', 'sharing' or 'label', found 'max_event'; did you mean"
        " 'max_events'?",
    ),
    "an option that is one of two words": (
        "trigger: edge",
        "trigger: egde",
        "24:13: models[2].epoll.trigger: expected 'level', 'edge' or 'oneshot', found 'egde';"
        " did you mean 'edge'?",
    ),
    "a label that is a number": (
        "- blocking",
        "- blocking: {label: 3}",
        "22:16: models[0].blocking.label: expected a label, a string that is not empty, found 3",
    ),
    "a label given twice": (
        "- blocking",
        "- blocking: {label: edge}",
        "24:5: models[2]: expected a label of its own for each entry of the same model, found"
        " 'edge' twice",
    ),
    "a model given twice": (
        "- blocking",
        "- epoll",
        "23:5: models[1]: expected a label of its own for each entry of the same model, found"
        " 'epoll' twice",
    ),
    "a model that does not fit the workload": (
        "- blocking",
        "- threads",
        "22:5: models[0]: expected an I/O model for a workload of requests (aio, asyncio,"
        " blocking, coroutine, epoll, goroutine, io_uring, nonblocking, poll, prefork, select,"
        " signal_driven, thread_pool, thread_pool_callbacks, uvloop), found 'threads', which serves"
        " items; did you mean 'thread_pool'?",
    ),
    "no models": (MODELS, "", "1:1: expected key 'models', found only"),
    "models that are none": (
        MODELS,
        "models: []\n",
        "21:1: models: expected at least 1 of them, found an empty list",
    ),
    "no replications": (
        "replications: 3",
        "replications: 0",
        f"27:3: run.replications: {COUNT}, more than 0, found 0",
    ),
    "a warm-up without its unit": (
        "replications: 3",
        "replications: 3\n  warm_up: 5",
        f"28:3: run.warm_up: {DURATION} or 'auto' or 'none', found 5",
    ),
    "a negative seed": (
        "replications: 3",
        "replications: 3\n  seed: -1",
        "28:3: run.seed: expected a count from 0 to 9223372036854775807, found -1",
    ),
    "an objective on no metric": (
        "p99 < 5ms",
        "p999 < 5ms",
        "29:5: slo[0]: expected a metric (see `iosim list metrics`), found 'p999'; did you mean"
        " 'p99.9'?",
    ),
    "an objective on no device": (
        "p99 < 5ms",
        "device_cache_utilization < 70%",
        "29:5: slo[0]: expected a metric of a device of this scenario (database), found"
        " 'device_cache_utilization < 70%'",
    ),
    "an objective without its unit": (
        "p99 < 5ms",
        "p99 < 5",
        f"29:5: slo[0]: {DURATION}, found '5'",
    ),
    "an objective that is none": (
        "p99 < 5ms",
        "p99 = 5ms",
        "29:5: slo[0]: expected an objective such as 'p99 < 5ms', found 'p99 = 5ms'",
    ),
    "an objective that is a mapping": (
        "- p99 < 5ms",
        "- {p99: 5ms}",
        "29:5: slo[0]: expected a string, found a mapping",
    ),
}


class TestBroken:
    @pytest.mark.parametrize("name", BROKEN)
    def test_one_mistake_is_one_problem_told_in_its_place(self, name: str) -> None:
        right, wrong, expected = BROKEN[name]
        started = time.process_time()
        (line,) = told(changed(right, wrong))
        assert time.process_time() - started < 1
        if name == "no models":
            assert line.startswith(f"f.yaml:{expected}")
        else:
            assert line == f"f.yaml:{expected}"

    def test_a_problem_is_data(self) -> None:
        (problem,) = problems(changed("call: database", "call: databse"))
        assert problem == Problem(
            file="f.yaml",
            line=10,
            column=7,
            path="server.handler[1].call",
            expected="a device under 'devices' (database)",
            found="'databse'",
            hint="did you mean 'database'?",
        )

    @pytest.mark.parametrize(
        ("wrong", "found"), [("cpu: 20us\n      call: database", "2 keys"), ("cpu", "'cpu'")]
    )
    def test_a_step_that_is_no_single_key(self, wrong: str, found: str) -> None:
        (problem,) = problems(changed("cpu: 20us", wrong))
        assert (problem.line, problem.column) == (9, 7)
        assert problem.path.startswith("server.handler[0]")
        assert found in problem.found
        # It is spelt right; something else is wrong.
        assert problem.hint is None

    @pytest.mark.parametrize("warm_up", ["100ms", "200ms"])
    def test_a_warm_up_as_long_as_the_run(self, warm_up: str) -> None:
        (problem,) = problems(changed("replications: 3", f"replications: 3\n  warm_up: {warm_up}"))
        assert (problem.line, problem.column, problem.path) == (28, 3, "run.warm_up")
        assert "100ms" in problem.expected
        assert warm_up in problem.found

    def test_every_model_must_fit_the_workload(self) -> None:
        text = changed(OPEN, "  producer_consumer: {produce: 1us, consume: 1us}\n")
        lines = told(text)
        assert [line[: line.index(": expected")] for line in lines] == [
            "f.yaml:19:5: models[0]",
            "f.yaml:20:5: models[1]",
            "f.yaml:21:5: models[2]",
        ]
        for line in lines:
            assert "expected an I/O model for a workload of items (coroutines, threads)" in line

    def test_options_beside_their_kind(self) -> None:
        (line,) = told(changed("- epoll: {max_events: 64}", "- epoll:\n    max_events: 64"))
        assert line.startswith("f.yaml:23:5: models[1]: expected one I/O model: ")
        assert line.endswith("; did you mean to indent 'max_events' under 'epoll'?")

    @pytest.mark.parametrize("kind", sorted(kinds("io_models")))
    def test_every_kind_has_a_near_match(self, kind: str) -> None:
        (line,) = told(changed("- blocking", f"- {kind}{kind[-1]}"))
        assert line.endswith(f"; did you mean {kind!r}?")

    def test_data_has_places_too(self) -> None:
        with pytest.raises(ScenarioError) as caught:
            from_data({"workload": {"open": {"rate": 3}}, "models": ["epoll"]})
        (problem,) = caught.value.problems
        assert (problem.file, problem.line, problem.path) == ("<data>", 1, "workload.open.rate")

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(PRINTABLE, max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "machine",
                            "cores",
                            "models",
                            "epoll",
                            "workload",
                            "open",
                            "rate",
                            "label",
                            "slo",
                            "run",
                            "server",
                            "handler",
                            "cpu",
                            "devices",
                        ]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        )
    )
    def test_whatever_stands_in_a_section_is_read_or_refused(self, value: Any) -> None:
        for section in ("machine", "server", "devices", "workload", "models", "run", "slo", "name"):
            data = {"workload": {"open": {"rate": "1/s"}}, "models": ["epoll"], section: value}
            paths = paths_of_problems(data)
            assert all(path.startswith(section) for path in paths), paths


class TestAllAtOnce:
    def test_wrong_values_in_the_order_of_the_file(self) -> None:
        text = BASE
        for right, wrong in [
            ("cores: 2", "coers: 2"),
            ("working_set: 64KiB", "working_set: 64"),
            ("rate: 2k/s", "rate: 0/s"),
            ("- blocking", "- bloking"),
            ("trigger: edge", "trigger: egde"),
            ("replications: 3", "replications: 0"),
        ]:
            text = text.replace(right, wrong)
        assert [(p.line, p.path) for p in problems(text)] == [
            (3, "machine.coers"),
            (12, "server.working_set"),
            (18, "workload.open.rate"),
            (22, "models[0]"),
            (24, "models[2].epoll.trigger"),
            (27, "run.replications"),
        ]

    def test_unknown_devices_and_metrics_with_them(self) -> None:
        text = changed("cores: 2", "coers: 2").replace("call: database", "call: databse")
        assert [(p.line, p.path) for p in problems(text.replace("p99 <", "p999 <"))] == [
            (3, "machine.coers"),
            (10, "server.handler[1].call"),
            (29, "slo[0]"),
        ]

    def test_what_is_right_by_itself_and_does_not_fit_together(self) -> None:
        text = changed("call: database", "call: databse").replace("cores: 2", "cores: 1000")
        text = text.replace("label: edge", "label: epoll").replace("- blocking", "- threads")
        assert [(p.line, p.path) for p in problems(text)] == [
            (3, "machine.cores"),
            (10, "server.handler[1].call"),
            (22, "models[0]"),
            (24, "models[2]"),
        ]

    def test_unknown_keys_hide_nothing_of_that(self) -> None:
        text = changed("name: base", "nmae: base").replace("label: edge", "label: epoll")
        text = text.replace("runtime: native", "runtime: natvie").replace("cores: 2", "cores: 1000")
        text = text.replace("call: database", "call: databse")
        assert [(p.line, p.path) for p in problems(text)] == [
            (1, "nmae"),
            (3, "machine.cores"),
            (6, "machine.runtime"),
            (10, "server.handler[1].call"),
            (24, "models[2]"),
        ]

    @pytest.mark.parametrize(
        ("text", "path"),
        [
            (BASE.replace("duration: 100ms", "duration: 9\n  warm_up: 2s"), "run.duration"),
            (BASE.replace("duration: 100ms", "duraton: 9s\n  warm_up: 2s"), "run.duraton"),
            (BASE.replace("100ms", "1mss").replace("2k/s", "1G/s"), "run.duration"),
            (
                BASE.replace(
                    OPEN, "  closed: {users: 500, think: 1ms, connections: {total: 1000x}}\n"
                ),
                "workload.closed.connections.total",
            ),
        ],
    )
    def test_what_is_left_out_is_not_judged_by_its_default(self, text: str, path: str) -> None:
        assert [problem.path for problem in problems(text)] == [path]

    def test_what_yaml_has_but_no_scenario(self) -> None:
        text = changed("runtime: native", "runtime: native\n  cores: 4")
        text = text.replace("replications: 3", "replications: .nan").replace("p99 <", "!x p99 <")
        assert [(p.line, p.path) for p in problems(text)] == [
            (7, "machine.cores"),
            (28, "run.replications"),
            (30, "slo[0]"),
        ]


USERS = "closed: {users: 50, think: 1us, connections: {total: 100}}"
ITEMS = "producer_consumer: {produce: 1us, consume: 1us}"
THREADS = "models: [threads]\n"


class TestEveryMistakeAtOnce:
    """What is wrong in one place hides nothing of what is wrong in another."""

    def test_a_misspelt_step_and_a_missing_unit(self) -> None:
        lines = told(changed("- cpu: 20us", "- cpo: 20us").replace("sleep: 1ms", "sleep: 1"))
        assert [line.partition(": expected")[0] for line in lines] == [
            "f.yaml:9:7: server.handler[0].cpo",
            "f.yaml:11:7: server.handler[2].sleep",
        ]

    def test_a_second_key_and_a_typo_under_the_first(self) -> None:
        text = changed(
            "remote: {latency: {exponential: 1ms}, concurrency: 8}",
            "{remote: {latency: 1ms, concurency: 8}, interface: socket}",
        )
        first, second = told(text)
        assert "found 2 keys: 'remote' and 'interface'" in first
        assert "did you mean to indent 'interface' under 'remote'?" in first
        assert "devices.database.remote.concurency" in second
        assert "did you mean 'concurrency'?" in second

    @pytest.mark.parametrize(
        ("wrong", "expected"),
        [
            ("cores: .nan", "3:10: machine.cores: expected a finite number, found .nan"),
            ("cores: 2\n  cores: 3", "4:3: machine.cores: expected each key once"),
            ("cores: !!int 2", "3:10: machine.cores: expected a value without a tag"),
        ],
    )
    def test_what_yaml_lets_no_value_be_and_a_misspelt_key(self, wrong: str, expected: str) -> None:
        first, second = told(changed("cores: 2", wrong).replace("seed", "sed") + "naem: x\n")
        assert first.startswith(f"f.yaml:{expected}")
        assert "naem: expected one of the keys" in second

    def test_a_device_whose_name_is_a_number_is_there_all_the_same(self) -> None:
        (line,) = told(changed("  database:\n", "  5:\n").replace("call: database", "call: '5'"))
        assert line == (
            "f.yaml:14:3: devices: expected a key that is a string, found 5; did you mean"
            ' "5", in quotes?'
        )

    def test_an_unread_value_is_told_even_if_all_else_is_right(self) -> None:
        (line,) = told(changed("cores: 2", "cores: 2\n  cores: 2"))
        assert "expected each key once" in line


class TestLimits:
    @pytest.mark.parametrize(
        ("right", "wrong", "expected"),
        [
            ("cores: 2", "cores: 1000", "3:3: machine.cores: expected at most 256 cores"),
            (
                "total: 100",
                "total: 1e9",
                "19:19: workload.open.connections.total: expected at most 1,000,000 connections",
            ),
            (
                "total: 100",
                "total: 30k",
                "19:19: workload.open.connections.total: expected fewer connections than"
                " machine.descriptors (20,000)",
            ),
            (
                "max_events: 64",
                "max_events: 2M",
                "23:13: models[1].epoll.max_events: expected at most 1,000,000 max events",
            ),
            (
                "- blocking",
                "- thread_pool_callbacks: {threads: 1G}",
                "22:29: models[0].thread_pool_callbacks.threads: expected at most 100,000 threads",
            ),
            (
                "rate: 2k/s",
                "rate: 9/s",
                "26:3: run.duration: expected long enough for a request at the workload's rate",
            ),
            ("rate: 2k/s", "rate: 10000G/s", "26:3: run.duration: expected at most 100,000,000 "),
            ("duration: 100ms", "duration: 200h", "26:3: run.duration: expected at most 100,"),
            ("replications: 3", "replications: 20k", "27:3: run.replications: expected at most "),
        ],
    )
    def test_a_slip_of_the_keyboard_is_refused_and_can_be_meant(
        self, right: str, wrong: str, expected: str
    ) -> None:
        text = changed(right, wrong)
        (line,) = told(text)
        assert line.startswith(f"f.yaml:{expected}")
        assert "(--force lifts this limit)" in line
        assert read(text, force=True) != read(BASE)

    @pytest.mark.parametrize(
        "text",
        [
            changed(OPEN, f"  {USERS}\n").replace("100ms", "200h"),
            changed(OPEN, f"  {ITEMS}\n").replace(MODELS, THREADS).replace("100ms", "200h"),
            BASE.replace("100ms", "10h").replace("replications: 3", "replications: 10000"),
        ],
        ids=["by users", "of items", "over all replications"],
    )
    def test_ten_to_the_twelve_requests_however_they_come_about(self, text: str) -> None:
        assert all("--force" in line for line in told(text))
        read(text, force=True)

    def test_the_limits_themselves_are_allowed(self) -> None:
        read(changed("cores: 2", f"cores: {iosim.scenario.MOST_CORES}"))
        most = iosim.scenario.MOST_OF_A_COUNT
        read(changed("total: 100", f"total: {most}").replace("cores: 2", "descriptors: 2M"))

    def test_the_clock_has_an_end_that_nothing_lifts(self) -> None:
        assert read(changed("100ms", "240h").replace("2k/s", "1/s")).run.duration == 864 * 10**12
        text = changed("100ms", "241h").replace("2k/s", "1/s")
        for force in (False, True):
            (problem,) = problems(text, force)
            assert (problem.line, problem.path) == (26, "run.duration")
            assert (problem.expected, problem.found) == ("at most ten days", "241h")

    def test_force_lifts_nothing_else(self) -> None:
        assert problems(changed("cores: 2", "cores: 0"), force=True)
        assert problems(changed("call: database", "call: databse"), force=True)
        assert problems(changed("label: edge", "label: epoll"), force=True)


@pytest.mark.parametrize(
    ("models", "paths"),
    [
        ("[nosuch]", ["models[0]"]),
        ("[nosuch, alsonot]", ["models[0]", "models[1]"]),
        ("[{nosuch: {}}]", ["models[0].nosuch"]),
    ],
)
def test_wrong_models_are_told_once_each_and_not_as_too_few(models: str, paths: list[str]) -> None:
    with pytest.raises(ScenarioError) as caught:
        from_source(yaml_source.load(BASE.replace(MODELS, f"models: {models}\n"), "it"))
    assert [problem.path for problem in caught.value.problems] == paths


def test_a_ctrl_c_that_pydantic_wraps_is_still_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise PydanticSerializationError("meanwhile") from cause

    scenario = from_data({"workload": {"open": {"rate": "1k/s"}}, "models": ["epoll"]})
    monkeypatch.setattr(Scenario, "model_dump", interrupted)
    cause: BaseException = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        scenario.to_data()
    cause = ValueError()
    with pytest.raises(PydanticSerializationError):
        scenario.to_data()
