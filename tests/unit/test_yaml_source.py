"""YAML as scenarios need it: no YAML 1.1 traps, hostile files refused fast, places kept.

Also the words of iosim/errors.py, and that every exception survives a process boundary.
"""

import pickle
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iosim import errors, yaml_source
from iosim.errors import Problem, ScenarioError
from iosim.yaml_source import load, load_bytes


@pytest.fixture(autouse=True, params=["CSafeLoader", "SafeLoader"])
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test on libyaml's parser and on the one in Python, which must agree."""
    if not hasattr(yaml, request.param):
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(yaml_source, "_PARSER", getattr(yaml, request.param))


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_bytes(text, "f.yaml") if isinstance(text, bytes) else load(text, "f.yaml")
    return str(caught.value).splitlines()


def data_or_problems(data: bytes) -> Any:
    try:
        return load_bytes(data, "f").data
    except ScenarioError as error:
        return error.problems


# YAML allows a key 1,024 characters, of which an escape takes six.
PRINTABLE = st.text(
    st.characters(max_codepoint=0xFFFD, exclude_categories=["Cs", "Cc"]), max_size=100
)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("1e6", 1e6),
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("-3", -3),
            ("+4", 4),
            ("017", 17),
            ("0o17", 15),
            ("0x1F", 31),
            ("0b1", "0b1"),
            ("1_000", "1_000"),
            ("12:30", "12:30"),
            ("12:30:45", "12:30:45"),
            ("2024-01-31", "2024-01-31"),
            ("on", "on"),
            ("yes", "yes"),
            ("off", "off"),
            ("no", "no"),
            ("y", "y"),
            ("true", True),
            ("FALSE", False),
            ("tRUE", "tRUE"),
            ("~", None),
            ("null", None),
            ("", None),
            ("20us", "20us"),
            ("'20'", "20"),
            ('"true"', "true"),
            ("<<", "<<"),
            ("=", "="),
            ("|\n  a\n  b\n", "a\nb\n"),
        ],
    )
    def test_yaml_1_2_core(self, text: str, value: object) -> None:
        read = load(f"key: {text}", "f").data["key"]
        assert read == value
        assert type(read) is type(value)

    def test_containers_are_plain(self) -> None:
        read = load("a: [1, {b: [x]}]\nc:\n- d\n-\n", "f").data
        assert read == {"a": [1, {"b": ["x"]}], "c": ["d", None]}
        assert type(read) is dict

    def test_keys_of_yaml_1_1_bools_are_strings(self) -> None:
        assert load("on: 1\nno: 2\n2024-01-01: 3", "f").data == {"on": 1, "no": 2, "2024-01-01": 3}

    def test_an_alias_is_a_copy_of_its_own(self) -> None:
        data = load("a: &x {b: [1]}\nc: *x\n", "f").data
        assert data["c"] == {"b": [1]}
        data["a"]["b"].append(2)
        assert data["c"] == {"b": [1]}

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**64) | PRINTABLE,
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PRINTABLE, inner),
            max_leaves=12,
        )
    )
    def test_json_reads_as_json(self, value: object) -> None:
        import json

        # JSON's escapes are YAML's too, but for its pairs of surrogates.
        assert load(json.dumps({"k": value}, ensure_ascii=True), "f").data == {"k": value}


class TestProblems:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "1:1: expected a mapping at the top, found an empty file"),
            ("# only a comment", "1:1: expected a mapping at the top, found an empty file"),
            ("---\n", "2:1: expected a mapping at the top, found no value"),
            ("[1]", "1:1: expected a mapping at the top, found a list"),
            ("epoll", "1:1: expected a mapping at the top, found 'epoll'"),
            ("a: .nan", "1:4: a: expected a finite number, found .nan"),
            ("a: [1, -.INF]", "1:8: a[1]: expected a finite number, found -.INF"),
            ("a: 1e999", "1:4: a: expected a number that a float can hold, found 1e999"),
            ("a: " + "9" * 5000, "1:4: a: expected a number of at most 60 characters"),
            ("1: a", '1:1: expected a key that is a string, found 1; did you mean "1", in'),
            ("a: {true: b}", "1:5: a: expected a key that is a string, found true"),
            ("~: a", "1:1: expected a key that is a string, found nothing (null)"),
            ("? [a]\n: b", "1:3: expected a key that is a string, found a list"),
            ("a: &x {b: 1}\nc:\n  <<: *x", "3:3: c: expected the keys written out, found the m"),
            ("a: !foo 1", "1:4: a: expected a value without a tag, found the tag '!foo'"),
            ("a: !!python/object/apply:os.system [ls]", "found the tag '!!python/object/apply:os"),
            ("a: !!str 1", "found the tag '!!str'; quote a value to make it a string"),
            ("a: *x", "1:4: a: expected an alias of an anchor above, found *x"),
            ("a: &x [*x]", "1:8: a[0]: expected an alias that ends, found *x inside its own"),
            ("a: 1\n---\nb: 2", "2:1: expected one YAML document, found a second one"),
            ("a:\n\tb: 1", "2:1: expected valid YAML, found a syntax error"),
            ("a:\n\tb: 1", "; indent with spaces, not tabs"),
            ("a: @x", "; put '@' in quotes"),
            ("a: b: c", "1:5: expected valid YAML, found a syntax error (mapping values are not"),
            ("x: 1\na: [1,\nb: 2\n", "that began on line 2, column 4"),
            ("a: 'x", "1:6: expected valid YAML, found a syntax error (found unexpected end of"),
            ("a: x\x00y", "1:5: expected printable text, found the character U+0000"),
            ("a: 1\nb: \ud800", "2:4: expected printable text, found the character U+D800"),
            (r'a: "\x1b[2J"', "1:4: a: expected printable text, found an escape for the character"),
            (r'a: "\0"', "1:4: a: expected printable text, found an escape for the character U+0"),
            (b"a: 1\nb: \xc3(", "2:4: expected text in UTF-8, found the byte 0xc3"),
            (b"\xff\xfea\x00", "1:1: expected text in UTF-8, found a byte order mark of UTF-16"),
            (
                b"\x7fELF\x02\x01\x01\x00",
                "1:1: expected printable text, found the character U+007F",
            ),
            (b"a: " + b"x" * 2**20, "1:1: expected at most 1 MiB of YAML, found 1,048,579 bytes"),
        ],
    )
    def test_told_with_their_place(self, text: str | bytes, told: str) -> None:
        (line,) = problems(text)
        assert line.startswith("f.yaml:")
        assert told in line

    def test_a_repeated_key_names_both_places(self) -> None:
        (line,) = problems("m:\n  rate: 1\n  x: 2\n  'rate': 3")
        assert line == (
            "f.yaml:4:3: m.rate: expected each key once, "
            "found 'rate' again, first on line 2, column 3"
        )

    def test_all_are_told_at_once_in_the_order_of_the_file(self) -> None:
        text = "a: .inf\nb: {1: 2}\na: !x 3\nc: *none\nd: 'open"
        assert [line.split(":")[1] for line in problems(text)] == ["1", "2", "3", "3", "4", "5"]

    def test_a_hundred_are_enough(self) -> None:
        assert len(problems("a: .nan\n" * 1000)) == yaml_source.MAX_PROBLEMS

    def test_byte_order_mark_and_utf_8(self) -> None:
        source = load_bytes("\ufeffé: 1\nb: ü\n".encode(), "f")
        assert source.data == {"é": 1, "b": "ü"}
        assert source.locate(("é",)) == (1, 1)

    @given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#?,\n \t01.~<é\ufeff\x00", max_size=40))
    def test_any_text_is_data_or_problems(self, text: str) -> None:
        read = data_or_problems(text.encode())
        if isinstance(read, tuple):
            lines = text.removeprefix("\ufeff").count("\n") + 1
            assert read
            assert all(1 <= p.line <= lines + 1 and p.column >= 1 for p in read)

    @given(st.binary(max_size=40))
    def test_any_bytes_are_data_or_problems(self, data: bytes) -> None:
        assert isinstance(data_or_problems(data), dict | tuple)


class TestHostileFiles:
    def test_billion_laughs(self) -> None:
        text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for i in range(1, 30):
            text += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n"
        start = time.perf_counter()
        (line,) = problems(text)
        assert time.perf_counter() - start < 0.5
        assert "expected at most 100,000 values, aliases written out, found more" in line

    @pytest.mark.parametrize("unit", ["[", "{a: ", "- ", "? ", "a: [", "[{"])
    def test_deep_nesting(self, unit: str) -> None:
        (line,) = problems((unit * (2**20 // len(unit)))[: 2**20 - 2])
        assert "expected at most 100 levels of nesting, found more" in line

    def test_depth_counts_through_aliases(self) -> None:
        text = "a0: &a0 []\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200))
        (line,) = problems(text)
        assert "100 levels" in line

    def test_the_limits_themselves_are_allowed(self) -> None:
        assert load("a: " + "[" * 99 + "]" * 99, "f").data["a"] is not None
        assert "100 levels" in problems("a: " + "[" * 101 + "]" * 101)[0]

    def test_too_many_values(self) -> None:
        assert "at most 100,000 values" in problems("a:\n" + "- x\n" * 100_001)[0]


class TestPlaces:
    TEXT = """\
# a comment
models:
  - epoll: {max_events: 64}
  - poll
workload:
    rate: 10k/s
shared: &s
  deep: 1
again: *s
"""

    @pytest.mark.parametrize(
        ("path", "key_at", "value_at"),
        [
            ((), (2, 1), (2, 1)),
            (("models",), (2, 1), (3, 3)),
            (("models", 0), (3, 5), (3, 5)),
            (("models", 0, "epoll"), (3, 5), (3, 12)),
            (("models", 0, "epoll", "max_events"), (3, 13), (3, 25)),
            (("models", 1), (4, 5), (4, 5)),
            (("workload", "rate"), (6, 5), (6, 11)),
            # An alias is in its own place; what is inside it, where it was written.
            (("again",), (9, 1), (7, 9)),
            (("again", "deep"), (8, 3), (8, 9)),
            # Nothing there: the nearest ancestor answers.
            (("workload", "size"), (5, 1), (6, 5)),
            (("workload", "rate", "x", 3), (6, 5), (6, 11)),
            (("models", 7), (2, 1), (3, 3)),
            (("models", "x"), (2, 1), (3, 3)),
            (("models", -1), (2, 1), (3, 3)),
        ],
    )
    def test_locate(
        self, path: yaml_source.Path, key_at: tuple[int, int], value_at: tuple[int, int]
    ) -> None:
        source = load(self.TEXT, "f.yaml")
        assert source.locate(path) == key_at
        if path[:1] != ("again",) or len(path) > 1:
            assert source.locate(path, value=True) == value_at
        assert source.file == "f.yaml"

    def test_changed_data_keeps_the_places(self) -> None:
        source = load(self.TEXT, "f.yaml")
        changed = source.with_data({**source.data, "workload": {"rate": "20k/s", "new": 1}})
        assert changed.data["workload"]["rate"] == "20k/s"
        assert source.data["workload"]["rate"] == "10k/s"
        assert changed.locate(("workload", "rate")) == (6, 5)
        assert changed.locate(("workload", "new")) == (5, 1)


class TestWords:
    def test_a_problem_reads_as_one_line(self) -> None:
        problem = Problem("s.yaml", 3, 7, "models[2]", "a model", "'epol'", "did you mean 'epoll'?")
        assert str(problem) == (
            "s.yaml:3:7: models[2]: expected a model, found 'epol'; did you mean 'epoll'?"
        )
        assert str(Problem("s", 1, 1, "", "x", "y")) == "s:1:1: expected x, found y"

    def test_problems_are_sorted_by_place(self) -> None:
        places = [(2, 9), (10, 1), (2, 3)]
        error = ScenarioError(Problem("s", li, co, "", "x", "y") for li, co in places)
        assert [(p.line, p.column) for p in error.problems] == [(2, 3), (2, 9), (10, 1)]
        assert str(error).count("\n") == 2

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ((), ""),
            (("models", 2, "epoll", "max_events"), "models[2].epoll.max_events"),
            (("a b", "c.d", 0), "['a b']['c.d'][0]"),
        ],
    )
    def test_paths(self, path: yaml_source.Path, text: str) -> None:
        assert errors.path_text(path) == text

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "nothing (null)"),
            (True, "true"),
            (5, "5"),
            (0.5, "0.5"),
            ("5", "'5'"),
            ({}, "an empty mapping"),
            ({"a": 1}, "a mapping"),
            ([], "an empty list"),
            ([1], "a list"),
            ("x" * 99, repr("x" * 57 + "...")),
            ("a\nb", r"'a\nb'"),
        ],
    )
    def test_values_are_shown_as_in_yaml(self, value: object, text: str) -> None:
        assert errors.shown(value) == text

    @pytest.mark.parametrize(
        ("word", "hint"),
        [
            ("epol", "did you mean 'epoll'?"),
            ("EPOLL", "did you mean 'epoll'?"),
            ("io-uring", "did you mean 'io_uring'?"),
            ("threads", None),
            (3, None),
            ("x" * 100_000, None),
        ],
    )
    def test_near_matches(self, word: object, hint: str | None) -> None:
        assert errors.did_you_mean(word, ["select", "epoll", "io_uring"]) == hint


RAISED: list[tuple[errors.IosimError, int, str]] = [
    (
        ScenarioError([Problem("s", 1, 2, "a", "x", "y")]),
        2,
        "s:1:2: a: expected x, found y",
    ),
    (errors.UsageError("no such model"), 2, "no such model"),
    (errors.PluginError("epoll2 has no Options"), 2, "epoll2 has no Options"),
    (errors.MeasurementError("the server ended"), 1, "the server ended"),
    (
        errors.SimulationError("epoll", None, "no core is left"),
        1,
        "epoll, before the start: no core is left",
    ),
    (
        errors.WorkerDied("epoll", 3, "its worker process was ended by SIGKILL"),
        1,
        "epoll, replication 3: its worker process was ended by SIGKILL",
    ),
    (
        errors.Deadlock("pool", 5000, [("consumer-1", "queue"), ("producer-1", "stats")]),
        1,
        "pool, at 5,000 ns: deadlock: consumer-1 holds stats, waits for queue (held by producer-1);"
        " producer-1 holds queue, waits for stats (held by consumer-1)",
    ),
    (
        errors.Stalled("epoll", 7, [("loop", "epoll_wait"), ("worker", "futex")]),
        1,
        "epoll, at 7 ns: stalled, nothing can wake a thread: "
        "loop waits for epoll_wait; worker waits for futex",
    ),
    (
        errors.Starved("aio", 7, ["own work"], ["connection 0", "connection 1"], "fifo"),
        1,
        "aio, at 7 ns: the server never gets ready for the load: own work never leaves the core"
        " under fifo, and connection 0, connection 1 wait for one",
    ),
    (
        errors.Livelock("select", 0, "loop", 100_000),
        1,
        "select, at 0 ns: livelock: loop made 100,000 steps without consuming time",
    ),
    (
        errors.DescriptorLimit("select", 9, "select", 1024, 1024),
        1,
        "select, at 9 ns: select takes descriptors below 1,024, not 1,024",
    ),
]


class TestExceptions:
    @pytest.mark.parametrize(("error", "exit_code", "text"), RAISED)
    def test_say_it_and_survive_pickling(
        self, error: errors.IosimError, exit_code: int, text: str
    ) -> None:
        copy = pickle.loads(pickle.dumps(error))
        for each in (error, copy):
            assert str(each) == text
            assert each.exit_code == exit_code
        assert type(copy) is type(error)
        assert vars(copy) == vars(error)
        assert isinstance(error, errors.IosimError)

    def test_every_exception_is_in_the_test_and_in_the_tree(self) -> None:
        public = {
            name
            for name, thing in vars(errors).items()
            if isinstance(thing, type) and issubclass(thing, errors.IosimError)
        }
        assert public - {"IosimError"} == {type(error).__name__ for error, _, _ in RAISED}
        assert all(name in str(errors.__doc__) for name in public)

    def test_a_mismatch_pickles(self) -> None:
        copy = pickle.loads(pickle.dumps(errors.Mismatch("x", "y", "did you mean 'z'?")))
        assert str(copy) == "expected x, found y; did you mean 'z'?"
        assert (copy.expected, copy.found, copy.hint) == ("x", "y", "did you mean 'z'?")
