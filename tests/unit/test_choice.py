"""Choices: every spelling of one kind and its options, and the errors of all the others."""

import json
import pickle
import warnings
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from iosim.choice import Chosen, Many, OneOf, Options, problems_from
from iosim.errors import Mismatch, ScenarioError
from iosim.units import Duration, PositiveCount, PositiveDuration
from iosim.yaml_source import load


class Epoll(Options):
    """Readiness, by an interest list.

    More about it.
    """

    max_events: PositiveCount = 512
    trigger: Literal["level", "edge"] = "level"
    wait: Duration = Field(default="20us", validate_default=True)


class Select(Options):
    """Readiness, by scanning."""

    limit: Annotated[int, Field(ge=1)]
    timeout: int | bool | None = None


class Fixed(Options):
    """Always the same."""

    value: PositiveDuration

    @classmethod
    def from_shorthand(cls, value: object) -> dict[str, object]:
        return {"value": value}


class Between(Options):
    low: Duration
    high: Duration


def models() -> dict[str, type[Options]]:
    return {"epoll": Epoll, "select": Select}


ModelChoice = Annotated[Chosen[Options], OneOf("I/O model", models, labelled=True)]
DelayChoice = Annotated[
    Chosen[Options],
    OneOf("delay", lambda: {"fixed": Fixed, "between": Between}, default_kind="fixed"),
]


class Scenario(Options):
    models: Many[ModelChoice]
    delay: DelayChoice = Field(default="1ms", validate_default=True)
    seed: int = 1
    ratio: float = 0.5
    exact: bool = False


def model(value: object) -> Chosen[Any]:
    return Scenario.model_validate({"models": [value]}).models[0]


def delay(value: object) -> Chosen[Any]:
    return Scenario.model_validate({"models": [], "delay": value}).delay


def told(yaml_text: str) -> list[str]:
    source = load(yaml_text, "s.yaml")
    with pytest.raises(ValidationError) as caught:
        Scenario.model_validate(source.data)
    return str(ScenarioError(problems_from(caught.value, source))).splitlines()


class TestSpellings:
    @pytest.mark.parametrize("value", ["epoll", {"epoll": None}, {"epoll": {}}])
    def test_a_kind_with_its_defaults(self, value: object) -> None:
        assert model(value) == Chosen("epoll", Epoll())
        assert model(value).options.wait == 20_000

    def test_options_under_the_kind(self) -> None:
        chosen = model({"select": {"limit": 3}})
        assert (chosen.kind, chosen.options, chosen.label) == ("select", Select(limit=3), None)

    def test_a_label_is_the_entry_s_and_no_option(self) -> None:
        chosen = model({"epoll": {"max_events": "1k", "label": "epoll-1k"}})
        assert chosen.label == "epoll-1k"
        assert chosen.options == Epoll.model_validate({"max_events": 1000})

    @pytest.mark.parametrize(
        "value",
        ["5us", {"fixed": "5us"}, {"fixed": {"value": "5us"}}, {"fixed": {"value": "5 us"}}],
    )
    def test_shorthands(self, value: object) -> None:
        assert delay(value) == Chosen("fixed", Fixed.model_validate({"value": "5us"}))

    def test_the_name_of_a_kind_wins_over_the_default_kind(self) -> None:
        class Word(Options):
            word: str = "none"

            @classmethod
            def from_shorthand(cls, value: object) -> dict[str, object]:
                return {"word": value}

        choice = Annotated[
            Chosen[Options], OneOf("word", lambda: {"w": Word, "7up": Epoll}, default_kind="w")
        ]
        read = TypeAdapter(choice).validate_python
        assert read("7up").kind == "7up"
        assert read("7down") == Chosen("w", Word(word="7down"))

    def test_a_chosen_from_python_is_taken_as_it_is(self) -> None:
        made = Chosen("epoll", Epoll(max_events=2000), "mine")
        assert model(made) is made
        with pytest.raises(ValidationError, match="one I/O model: 'epoll' or 'select'"):
            model(Chosen("poll", Epoll()))
        with pytest.raises(ValidationError):
            model(Chosen("select", Epoll()))

    def test_is_frozen_hashable_and_crosses_processes(self) -> None:
        chosen = model("epoll")
        with pytest.raises(AttributeError):
            chosen.kind = "select"  # type: ignore[misc]
        with pytest.raises(ValidationError, match="frozen"):
            chosen.options.max_events = 3
        assert {chosen: 1}[model({"epoll": {}})] == 1
        assert pickle.loads(pickle.dumps(chosen)) == chosen

    def test_kinds_are_not_asked_for_before_they_are_needed(self) -> None:
        asked = []

        def find() -> dict[str, type[Options]]:
            asked.append(True)
            return {"epoll": Epoll}

        class Late(Options):
            model: Annotated[Chosen[Options], OneOf("model", find)]

        assert asked == []
        Late.model_validate({"model": "epoll"})
        assert asked == [True]

    def test_an_option_named_label_is_refused_when_entries_are_labelled(self) -> None:
        class Bad(Options):
            label: str = ""

        choice = Annotated[Chosen[Options], OneOf("model", lambda: {"bad": Bad}, labelled=True)]
        with pytest.raises(TypeError, match="'bad' has an option 'label'"):
            TypeAdapter(choice)


class TestRoundTrip:
    @pytest.mark.parametrize(
        ("value", "dumped"),
        [
            ("epoll", {"epoll": {"max_events": 512, "trigger": "level", "wait": "20us"}}),
            (
                {"epoll": {"wait": "1500us", "label": "x"}},
                {"epoll": {"max_events": 512, "trigger": "level", "wait": "1500us", "label": "x"}},
            ),
            ({"select": {"limit": 3}}, {"select": {"limit": 3, "timeout": None}}),
        ],
    )
    def test_dumps_as_the_mapping_with_one_key(self, value: object, dumped: object) -> None:
        scenario = Scenario.model_validate({"models": [value]})
        data = scenario.model_dump(mode="json")
        assert data["models"] == [dumped]
        assert data["delay"] == {"fixed": {"value": "1ms"}}
        assert Scenario.model_validate(data) == scenario
        assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario

    def test_dump_arguments_reach_the_options(self) -> None:
        scenario = Scenario.model_validate({"models": [{"select": {"limit": 3}}]})
        assert scenario.model_dump(mode="json", exclude_unset=True)["models"] == [
            {"select": {"limit": 3}}
        ]
        assert scenario.model_dump()["delay"] == {"fixed": {"value": 1_000_000}}


class TestProblems:
    def test_all_at_once_each_in_its_place(self) -> None:
        lines = told(
            """\
models:
  - epol
  - epoll: {max_event: 3, lable: x}
  - epoll: {max_events: true, label: 3, trigger: levl, wait: 20usec}
  - select
  - select: {limit: 0, timeout: abc}
  - select: {}
  - selct: {limit: 0}
  - epoll: 5
  - epoll:
    max_events: 3
  - {}
  -
  - 3
delay: 20
sed: 3
exact: 1
ratio: "0.5"
"""
        )
        model_kinds = "one I/O model: 'epoll' or 'select'"
        keys = "one of the keys 'max_events', 'trigger', 'wait' or 'label'"
        assert lines == [
            f"s.yaml:2:5: models[0]: expected {model_kinds}, found 'epol'; did you mean 'epoll'?",
            f"s.yaml:3:13: models[1].epoll.max_event: expected {keys}, found 'max_event'; "
            "did you mean 'max_events'?",
            f"s.yaml:3:27: models[1].epoll.lable: expected {keys}, found 'lable'; "
            "did you mean 'label'?",
            "s.yaml:4:13: models[2].epoll.max_events: expected a count, such as 100 or 10k, "
            "found true",
            "s.yaml:4:31: models[2].epoll.label: expected a label, a string that is not empty, "
            "found 3",
            "s.yaml:4:41: models[2].epoll.trigger: expected 'level' or 'edge', found 'levl'; "
            "did you mean 'level'?",
            "s.yaml:4:56: models[2].epoll.wait: expected a duration with its unit, such as 20us, "
            "found '20usec'; did you mean 'us'?",
            "s.yaml:5:5: models[3]: expected key 'limit' under 'select', found only 'select'",
            "s.yaml:6:14: models[4].select.limit: expected a number >= 1, found 0",
            "s.yaml:6:24: models[4].select.timeout: expected an integer or true or false, "
            "found 'abc'",
            "s.yaml:7:5: models[5].select: expected key 'limit', found an empty mapping",
            f"s.yaml:8:5: models[6].selct: expected {model_kinds}, found 'selct'; "
            "did you mean 'select'?",
            "s.yaml:9:5: models[7].epoll: expected a mapping, found 5",
            f"s.yaml:10:5: models[8]: expected {model_kinds}, found 2 keys: 'epoll' and "
            "'max_events'; did you mean to indent 'max_events' under 'epoll'?",
            f"s.yaml:12:5: models[9]: expected {model_kinds}, found an empty mapping",
            f"s.yaml:13:4: models[10]: expected {model_kinds}, found nothing (null)",
            f"s.yaml:14:5: models[11]: expected {model_kinds}, found 3",
            "s.yaml:15:1: delay: expected a duration with its unit, such as 20us, found 20",
            "s.yaml:16:1: sed: expected one of the keys 'models', 'delay', 'seed', 'ratio' or "
            "'exact', found 'sed'; did you mean 'seed'?",
            "s.yaml:17:1: exact: expected true or false, found 1",
            "s.yaml:18:1: ratio: expected a number, found '0.5'",
        ]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("seed: 1", "s.yaml:1:1: expected key 'models', found only 'seed'"),
            ("models: 3", "s.yaml:1:1: models: expected a list, found 3"),
            ("models: []\nseed: 1.0", "s.yaml:2:1: seed: expected an integer, found 1.0"),
            ("models: []\nseed: true", "s.yaml:2:1: seed: expected an integer, found true"),
            ("models: []\nratio: true", "s.yaml:2:1: ratio: expected a number, found true"),
            (
                "models: []\ndelay: fixd",
                "s.yaml:2:1: delay: expected one delay: 'fixed' or 'between', found 'fixd'; "
                "did you mean 'fixed'?",
            ),
            (
                "models: []\ndelay: {fixed: 0}",
                "s.yaml:2:9: delay.fixed: expected a duration with its unit, such as 20us, found 0",
            ),
            (
                "models: []\ndelay: -3us",
                "s.yaml:2:1: delay: expected a duration with its unit, such as 20us, "
                "not negative, found '-3us'",
            ),
            (
                "models: []\ndelay: {between: {low: 1us}}",
                "s.yaml:2:9: delay.between: expected key 'high', found only 'low'",
            ),
            (
                "models: []\ndelay: {between: 3us}",
                "s.yaml:2:9: delay.between: expected a mapping, found '3us'",
            ),
        ],
    )
    def test_one(self, text: str, problem: str) -> None:
        assert told(text) == [problem]

    def test_a_crowd_of_keys_is_not_listed_whole(self) -> None:
        (line,) = told("models:\n- {" + ", ".join(f"k{i}: 1" for i in range(5000)) + "}")
        assert line.endswith("found 5000 keys: " + "".join(f"'k{i}', " for i in range(10)) + "...")

    def test_what_a_validator_raises_is_told_in_its_words(self) -> None:
        class Checked(Options):
            a: int

            def model_post_init(self, context: object) -> None:
                if self.a == 1:
                    raise Mismatch("a above 1", "1", "did you mean 2?")
                raise ValueError("a that pleases")

        for a, line in ((1, "a above 1, found 1; did you mean 2?"), (2, "a that pleases, found a")):
            source = load(f"a: {a}", "s.yaml")
            with pytest.raises(ValidationError) as caught:
                Checked.model_validate(source.data)
            (problem,) = problems_from(caught.value, source)
            assert f"s.yaml:1:1: expected {line}" in str(problem)

    def test_pydantic_s_own_locations_are_the_paths_of_the_file(self) -> None:
        with pytest.raises(ValidationError) as caught:
            Scenario.model_validate({"models": ["epoll", {"epoll": {"max_events": 0}}]})
        assert [e["loc"] for e in caught.value.errors()] == [("models", 1, "epoll", "max_events")]


MODES: tuple[Literal["validation", "serialization"], ...] = ("validation", "serialization")


def accepts(schema: dict[str, Any], value: object, root: dict[str, Any]) -> bool:
    """Judge a value by the part of JSON Schema that these schemas use."""
    import re

    if "$ref" in schema:
        return accepts(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], value, root)
    types: dict[str, Any] = {
        "object": dict,
        "string": str,
        "null": type(None),
        "integer": int,
        "array": list,
    }
    types |= {"number": int | float, "boolean": bool}
    rules = [
        "type" not in schema or isinstance(value, types[schema["type"]]),
        "enum" not in schema or value in schema["enum"],
        "anyOf" not in schema or any(accepts(s, value, root) for s in schema["anyOf"]),
        "oneOf" not in schema or sum(accepts(s, value, root) for s in schema["oneOf"]) == 1,
        "not" not in schema or not accepts(schema["not"], value, root),
        "pattern" not in schema
        or not isinstance(value, str)
        or re.search(schema["pattern"], value) is not None,
        "minimum" not in schema or not isinstance(value, int) or value >= schema["minimum"],
    ]
    if isinstance(value, dict):
        known = schema.get("properties", {})
        rules.append(all(key in value for key in schema.get("required", ())))
        rules.append(schema.get("additionalProperties", True) or set(value) <= set(known))
        rules.extend(accepts(known[key], v, root) for key, v in value.items() if key in known)
    if isinstance(value, list):
        rules.extend(accepts(schema.get("items", {}), item, root) for item in value)
    return all(rules)


class TestJsonSchema:
    @pytest.fixture
    def schema(self) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return Scenario.model_json_schema()

    def test_form(self, schema: dict[str, Any]) -> None:
        names, epoll, select = schema["properties"]["models"]["items"]["oneOf"]
        assert names["enum"] == ["epoll", "select"]
        assert epoll["description"] == "Readiness, by an interest list."
        assert select["required"] == list(select["properties"]) == ["select"]
        assert select["additionalProperties"] is False
        assert schema["properties"]["delay"]["default"] == "1ms"

    @pytest.mark.parametrize(
        "data",
        [
            {"models": ["epoll", {"epoll": None}, {"epoll": {"max_events": 5, "label": "x"}}]},
            {"models": [{"select": {"limit": 5, "label": "x"}}]},
            {"models": [], "delay": "20us"},
            {"models": [], "delay": {"fixed": "20us"}},
            {"models": [], "delay": {"between": {"low": "0s", "high": "20us"}}},
        ],
    )
    def test_admits_what_is_read(self, schema: dict[str, Any], data: dict[str, Any]) -> None:
        scenario = Scenario.model_validate(data)
        assert accepts(schema, data, schema)
        assert accepts(schema, json.loads(scenario.model_dump_json()), schema)

    @pytest.mark.parametrize(
        "data",
        [
            {"models": ["epol"]},
            {"models": [{"epol": {}}]},
            {"models": [{}]},
            {"models": [{"epoll": {}, "select": {"limit": 1}}]},
            {"models": [{"epoll": {"max_event": 5}}]},
            {"models": [{"select": None}]},
            {"models": [{"select": {"limit": 5, "label": 5}}]},
            {"models": [], "delay": 20},
            {"models": [], "delay": {"between": {"low": "20", "high": "20us"}}},
        ],
    )
    def test_refuses_what_is_refused(self, schema: dict[str, Any], data: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Scenario.model_validate(data)
        assert not accepts(schema, data, schema)

    def test_is_the_same_for_what_is_dumped(self) -> None:
        read, dumped = (TypeAdapter(DelayChoice).json_schema(mode=mode) for mode in MODES)
        assert dumped == read
