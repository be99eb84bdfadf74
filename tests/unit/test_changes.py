"""`--set path=value`: what a path reaches, what it makes, and what it refuses."""

from typing import Any

import pytest

from iosim.changes import apply, parse_assignment
from iosim.errors import ScenarioError, UsageError
from iosim.scenario import Scenario, from_source, label_of
from iosim.yaml_source import load

BASE = """\
machine:
  network: loopback
server:
  handler:
    - cpu: 20us
    - call: database
    - cpu: 5us
devices:
  database:
    remote: {latency: 1ms}
workload:
  open:
    rate: 2k/s
models:
  - blocking
  - epoll
  - epoll: {trigger: edge, label: edge}
  - thread_pool_callbacks:
slo:
  - p99 < 5ms
"""


def data(*assignments: str, text: str = BASE) -> dict[str, Any]:
    changes = [parse_assignment(assignment) for assignment in assignments]
    return apply(load(text, "f.yaml"), changes).data


def scenario(*assignments: str, text: str = BASE) -> Scenario:
    changes = [parse_assignment(assignment) for assignment in assignments]
    return from_source(apply(load(text, "f.yaml"), changes))


def refused(*assignments: str, text: str = BASE) -> str:
    with pytest.raises(UsageError) as caught:
        data(*assignments, text=text)
    assert caught.value.exit_code == 2
    return str(caught.value)


class TestAssignments:
    @pytest.mark.parametrize(
        ("text", "parsed"),
        [
            ("run.seed=3", ("run.seed", "3")),
            (" run.seed = 3 ", ("run.seed", "3")),
            ("slo=[p99 <= 3ms]", ("slo", "[p99 <= 3ms]")),
            ("name=", ("name", "")),
        ],
    )
    def test_the_first_equals_sign_parts_them(self, text: str, parsed: tuple[str, str]) -> None:
        assert parse_assignment(text) == parsed

    @pytest.mark.parametrize("text", ["run.seed", "", "=3", "  =3"])
    def test_what_is_no_assignment(self, text: str) -> None:
        with pytest.raises(UsageError, match="expected path=value, such as workload"):
            parse_assignment(text)


class TestMappings:
    def test_a_value_is_replaced_and_nothing_else(self) -> None:
        expected = load(BASE, "f.yaml").data
        expected["workload"]["open"]["rate"] = "20k/s"
        assert data("workload.open.rate=20k/s") == expected

    def test_the_source_itself_stays_as_it_was(self) -> None:
        source = load(BASE, "f.yaml")
        apply(source, [("workload.open.rate", "20k/s"), ("models.epoll.max_events", "3")])
        assert source.data == load(BASE, "f.yaml").data

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("3", 3),
            ("1e6", 1e6),
            ("20us", "20us"),
            ("true", True),
            ("on", "on"),
            ("", None),
            ("'3'", "3"),
            ("[a, {b: 1}]", ["a", {"b": 1}]),
            ("{exponential: 1ms}", {"exponential": "1ms"}),
        ],
    )
    def test_the_value_is_yaml(self, text: str, value: object) -> None:
        changed = data(f"run.x={text}")["run"]["x"]
        assert changed == value
        assert type(changed) is type(value)

    def test_a_section_that_was_left_out_is_made(self) -> None:
        changed = scenario("run.seed=7", "server.own_work.chunk=50us", "machine.cores=4")
        assert changed.run.seed == 7
        assert changed.server.own_work is not None
        assert changed.server.own_work.chunk == 50_000
        assert changed.machine.cores == 4
        assert len(changed.server.handler) == 3

    def test_an_empty_section_is_filled(self) -> None:
        assert scenario("run.seed=7", text=BASE + "run:\n").run.seed == 7

    def test_a_device_is_added(self) -> None:
        changed = scenario("devices.cache.remote.latency=1us", "server.handler.1.call=cache")
        assert changed.devices["cache"].options.latency.options.mean_ns() == 1000
        assert set(changed.devices) == {"cache", "database"}

    def test_the_last_of_two_changes_of_one_path_holds(self) -> None:
        assert scenario("run.seed=7", "run.seed=8").run.seed == 8

    def test_changes_are_made_in_their_order(self) -> None:
        changed = scenario("models=[poll, epoll]", "models.poll.label=mine")
        assert [label_of(model) for model in changed.models] == ["mine", "epoll"]

    def test_a_path_that_comes_again_is_changed_where_it_comes_last(self) -> None:
        changed = scenario("models.0.label=a", "models=[poll, epoll]", "models.0.label=b")
        assert [label_of(model) for model in changed.models] == ["b", "epoll"]

    @pytest.mark.parametrize(
        ("printed", "dotted"),
        [
            ("server.handler[0].cpu", "server.handler.0.cpu"),
            ("models[1].epoll.max_events", "models.1.max_events"),
            ("models.edge.epoll.max_events", "models.edge.max_events"),
            ("models[3].thread_pool_callbacks.threads", "models.3.threads"),
            ("models[0]", "models.blocking"),
            ("slo[0]", "slo.0"),
            ("devices['database'].remote.concurrency", "devices.database.remote.concurrency"),
        ],
    )
    def test_a_path_as_check_prints_it(self, printed: str, dotted: str) -> None:
        assert data(f"{printed}=3") == data(f"{dotted}=3") != data()

    def test_a_key_with_dots_in_quotes(self) -> None:
        changed = data("devices['a.b'].remote.latency=1ms")
        assert changed["devices"]["a.b"] == {"remote": {"latency": "1ms"}}


class TestShortForms:
    def test_a_kind_by_name_gets_options(self) -> None:
        text = BASE.replace("network: loopback", "scheduler: round_robin")
        changed = scenario("machine.scheduler.round_robin.slice=3ms", text=text)
        assert changed.machine.scheduler.kind == "round_robin"
        assert changed.machine.scheduler.options.slice == 3_000_000

    def test_a_kind_that_is_left_out_is_chosen_by_its_options(self) -> None:
        text = BASE.replace("  network: loopback", "  cores: 2")
        changed = scenario("machine.network.nic.latency=50us", text=text)
        assert changed.machine.network.kind == "nic"

    def test_another_kind_replaces_the_first(self) -> None:
        changed = scenario("machine.network={nic: {latency: 50us}}")
        assert changed.machine.network.kind == "nic"
        assert changed.machine.network.options.latency.options.mean_ns() == 50_000

    def test_two_kinds_at_once_are_refused_and_not_guessed_at(self) -> None:
        with pytest.raises(ScenarioError) as caught:
            scenario("machine.network.nic.latency=50us")
        (problem,) = caught.value.problems
        assert (problem.line, problem.path) == (2, "machine.network")
        assert problem.found == "2 keys: 'loopback' and 'nic'"

    def test_a_shorthand_value_is_replaced(self) -> None:
        changed = scenario("devices.database.remote.latency={exponential: 2ms}")
        assert changed.devices["database"].options.latency.kind == "exponential"
        # A duration is no kind that could get options.
        assert refused("devices.database.remote.latency.exponential=2ms").endswith(
            "devices.database.remote.latency is '1ms', which has no keys"
        )


class TestLists:
    def test_a_position(self) -> None:
        changed = data("server.handler.0.cpu=50us", "slo.0=p95 < 1ms")
        assert changed["server"]["handler"] == [
            {"cpu": "50us"},
            {"call": "database"},
            {"cpu": "5us"},
        ]
        assert changed["slo"] == ["p95 < 1ms"]

    def test_a_step_by_its_key_is_the_first_of_its_kind(self) -> None:
        changed = data("server.handler.call.call=cache", "server.handler.cpu.cpu=50us")
        assert changed["server"]["handler"] == [{"cpu": "50us"}, {"call": "cache"}, {"cpu": "5us"}]

    @pytest.mark.parametrize(
        ("entry", "index"),
        [
            ("0", 0),
            ("blocking", 0),
            ("epoll", 1),
            ("1", 1),
            ("edge", 2),
            ("2", 2),
            ("thread_pool_callbacks", 3),
        ],
    )
    def test_an_entry_of_models(self, entry: str, index: int) -> None:
        before, changed = data(), data(f"models.{entry}.x=1")
        assert [i for i in range(4) if changed["models"][i] != before["models"][i]] == [index]
        ((_, options),) = changed["models"][index].items()
        assert options["x"] == 1

    def test_options_that_stand_there_stay(self) -> None:
        assert data("models.edge.max_events=4")["models"][2] == {
            "epoll": {"trigger": "edge", "label": "edge", "max_events": 4}
        }

    def test_the_name_that_results_show_goes_first(self) -> None:
        text = BASE.replace("  - blocking\n  - epoll\n", "").replace(
            "- thread", "- epoll\n  - thread"
        )
        assert [label_of(model) for model in scenario(text=text).models][:2] == ["edge", "epoll"]
        assert data("models.epoll.x=1", text=text)["models"][1] == {"epoll": {"x": 1}}

    def test_a_label_with_spaces(self) -> None:
        text = BASE.replace("label: edge", "label: pool of 16")
        assert data("models.pool of 16.x=1", text=text)["models"][2]["epoll"]["x"] == 1

    def test_an_entry_is_replaced_as_a_whole(self) -> None:
        changed = scenario("models.blocking=coroutine", "models.edge={poll: {label: scan}}")
        assert [label_of(model) for model in changed.models] == [
            "coroutine",
            "epoll",
            "scan",
            "thread_pool_callbacks",
        ]


class TestRefusals:
    @pytest.mark.parametrize(
        ("assignment", "message"),
        [
            (
                "models.epol.max_events=3",
                "--set models.epol.max_events: expected an entry of 'models' (blocking, epoll,"
                " edge, epoll, thread_pool_callbacks), found 'epol'; did you mean 'epoll'?",
            ),
            (
                "models.4=poll",
                "--set models.4: expected an entry of 'models' (blocking, epoll, edge, epoll,"
                " thread_pool_callbacks), found '4'",
            ),
            (
                "models.-1.x=1",
                "--set models.-1.x: expected an entry of 'models' (blocking, epoll, edge, epoll,"
                " thread_pool_callbacks), found '-1'",
            ),
            (
                "server.handler.9.cpu=3us",
                "--set server.handler.9.cpu: expected an entry of 'server.handler' (cpu, call,"
                " cpu), found '9'",
            ),
            ("run.seed={", "--set run.seed:2:1: expected valid YAML, found a syntax error"),
            ("run.seed=a: b", "--set run.seed:1:9: expected valid YAML, found a syntax error"),
            ("run.seed=.nan", "--set run.seed:1:8: value: expected a finite number, found .nan"),
            ("run.seed={a: 1, a: 2}", "expected each key once, found 'a' again"),
        ],
    )
    def test_a_path_or_a_value_that_is_none(self, assignment: str, message: str) -> None:
        assert message in refused(assignment)

    def test_the_first_word_of_a_label_is_near_it(self) -> None:
        text = BASE.replace("label: edge", "label: pool of 16").replace("- blocking", "- poll")
        assert refused("models.pool.threads=3", text=text).endswith("did you mean 'pool of 16'?")

    def test_a_value_has_no_keys(self) -> None:
        assert refused("workload.open.rate.x.y=1", text=BASE.replace("2k/s", "3")) == (
            "--set workload.open.rate.x.y: workload.open.rate is 3, which has no key 'x'"
        )
        assert refused("workload.open.rate.x=1", text=BASE.replace("2k/s", "3")) == (
            "--set workload.open.rate.x: workload.open.rate is 3, which has no keys"
        )

    @pytest.mark.parametrize("path", ["wrokload.open.rate", "workload.open.raet", "run..seed", "."])
    def test_a_misspelt_path_is_told_when_the_scenario_is_validated(self, path: str) -> None:
        with pytest.raises(ScenarioError):
            scenario(f"{path}=1/s")

    def test_a_changed_value_is_told_where_the_value_stood(self) -> None:
        with pytest.raises(ScenarioError) as caught:
            scenario("workload.open.rate=0/s")
        (problem,) = caught.value.problems
        assert (problem.file, problem.line, problem.path) == ("f.yaml", 13, "workload.open.rate")
        assert problem.found == "'0/s'"

    @pytest.mark.parametrize("entry", ["{epoll: {}, poll: {}}", "7", "[epoll]", "{}", "null"])
    def test_an_entry_of_models_that_is_none_is_no_crash(self, entry: str) -> None:
        text = BASE.replace("- blocking", f"- {entry}")
        with pytest.raises((UsageError, ScenarioError)):
            scenario("models.0.x=1", text=text)

    @pytest.mark.parametrize("digit", ["²", "٣", "①"])
    def test_only_ascii_digits_are_a_position(self, digit: str) -> None:
        assert f"found '{digit}'" in refused(f"models.{digit}.x=1")

    def test_an_empty_list_has_no_entries(self) -> None:
        message = refused("models=[]", "models.0=epoll")
        assert "expected an entry of 'models'" in message
        assert "-1" not in message

    def test_a_value_of_more_than_one_line_is_not_cut_off(self) -> None:
        assert "--set run.seed" in refused("run.seed=1\nfoo: 2")
