"""`--over path=values`: what is varied, and what is no such thing."""

from itertools import pairwise

import pytest

from iosim.errors import UsageError
from iosim.studies import quantities
from iosim.studies.grid import parse_all, parse_over


def values(text: str) -> tuple[str, ...]:
    return parse_over(f"a.b={text}").values


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        _ = parse_over(text).values
    assert caught.value.exit_code == 2
    return str(caught.value)


class TestLists:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1,2,4", ("1", "2", "4")),
            (" 1 , 2 ", ("1", "2")),
            ("7", ("7",)),
            ("native,cpython", ("native", "cpython")),
            ("1k/s,20us,x0.5", ("1k/s", "20us", "x0.5")),
            (
                "loopback,{nic: {latency: 5us, queues: 2}}",
                ("loopback", "{nic: {latency: 5us, queues: 2}}"),
            ),
            ("[a, b],[c]", ("[a, b]", "[c]")),
            ("'a,b',\"c,d\"", ("'a,b'", '"c,d"')),
            ("{file: ../x..y.csv}", ("{file: ../x..y.csv}",)),
            ("2,2,1,2", ("2", "1")),
        ],
    )
    def test_commas_part_values_of_any_kind(self, text: str, expected: tuple[str, ...]) -> None:
        assert values(text) == expected

    def test_the_path_is_what_stands_before_the_first_equals_sign(self) -> None:
        axis = parse_over(" models.pool of 16.threads = a=b,2 ")
        assert (axis.path, axis.values, axis.text) == (
            "models.pool of 16.threads",
            ("a=b", "2"),
            "a=b,2",
        )


class TestRanges:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("4..256", "4 8 16 32 64 128 256"),
            ("1..16", "1 2 4 8 16"),
            ("3..20", "3 6 12 20"),
            ("10..11", "10 11"),
            ("1k..4k", "1000 2000 4000"),
            ("1us..10us", "1us 2us 4us 8us 10us"),
            ("1k/s..4k/s", "1k/s 2k/s 4k/s"),
            ("64KiB..256KiB", "64KiB 128KiB 256KiB"),
            ("x0.5..x2", "x0.5 x1 x2"),
            ("12.5%..50%", "12.5% 25% 50%"),
            ("4..256:doubling", "4 8 16 32 64 128 256"),
            ("4..256:linear 8", "4 40 76 112 148 184 220 256"),
            ("0..10:linear 3", "0 5 10"),
            ("1..3:linear 9", "1 2 3"),
            ("20000..20010:linear 3", "20000 20005 20010"),
            ("0.5..2.5:linear 3", "0.5 1.5 2.5"),
            ("1us..1ms:log 4", "1us 10us 100us 1ms"),
            ("1us .. 1ms : log 4", "1us 10us 100us 1ms"),
            (
                "1us..1ms:log 10",
                "1us 2154ns 4642ns 10us 21544ns 46416ns 100us 215443ns 464159ns 1ms",
            ),
            ("1k/s..2k/s:log 3", "1k/s 1414/s 2k/s"),
            ("64KiB..1MiB:log 5", "64KiB 128KiB 256KiB 512KiB 1MiB"),
            ("10%..20%:log 3", "10% 14.14% 20%"),
            ("1,4..16,100", "1 4 8 16 100"),
            ("1..4,2..8", "1 2 4 8"),
        ],
    )
    def test_a_range_has_both_its_ends_and_keeps_its_unit(self, text: str, expected: str) -> None:
        assert values(text) == tuple(expected.split())

    def test_every_value_reads_back_as_the_number_it_was(self) -> None:
        found = quantities.numbers(values("1us..1ms:log 30"))
        assert found is not None
        assert found == tuple(sorted(found))
        ratios = [after / before for before, after in pairwise(found)]
        assert min(ratios) == pytest.approx(max(ratios), rel=2e-3)

    @pytest.mark.parametrize(
        ("text", "parts", "expected"),
        [
            ("4..256", (0.0, 0.5, 1.0), ("4", "32", "256")),
            ("4..256:linear", (0.0, 0.5, 1.0), ("4", "130", "256")),
            ("1us..1ms:log", (0.0, 0.5, 1.0), ("1us", "31623ns", "1ms")),
            ("a,b,c", (0.0, 0.34, 0.99), ("a", "b", "c")),
            ("1,4..8", (0.0, 0.34, 0.99), ("1", "4", "8")),
        ],
    )
    def test_a_sample_is_drawn_evenly_by_logarithm_unless_linear(
        self, text: str, parts: tuple[float, ...], expected: tuple[str, ...]
    ) -> None:
        axis = parse_over(f"a={text}")
        assert tuple(axis.at(part) for part in parts) == expected


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "machine.cores",
                "--over machine.cores: expected path=values, such as machine.cores=1..16",
            ),
            ("=1,2", "--over =1,2: expected path=values"),
            ("a=", "--over a: expected a value between commas, found nothing"),
            ("a=1,,2", "--over a: expected a value between commas, found nothing"),
            ("a=4..1", "--over a: expected a range from less to more, found '4..1'"),
            ("a=4..4", "expected a range from less to more"),
            ("a=1us..4", "found '1us', which is a duration, and '4', which is a count"),
            ("a=1us..1KiB", "which is a duration, and '1KiB', which is a size"),
            ("a=1us..1mss", "'1mss', which is no quantity"),
            ("a=0..8", "expected a range that begins above 0, found '0..8'; from 0 on, only"),
            ("a=1..8:lin 3", "found 'lin 3'; did you mean 'linear'?"),
            ("a=1..8:logg 3", "found 'logg 3'; did you mean 'log'?"),
            ("a=1..8:log", "expected how many values, as in ':log 8', found no number"),
            ("a=1..8:log many", "and how many values, as in ':log 10', found 'log many'"),
            ("a=1..8:log 1", "expected from 2 to 100,000 values, found 1"),
            ("a=1..8:doubling 3", "expected linear or log, and how many values"),
            ("a=1...8", "expected two of one quantity"),
            ("a=1..", "expected a range such as 4..256"),
        ],
    )
    def test_what_is_no_axis_is_told(self, text: str, message: str) -> None:
        assert message in refused(text)

    def test_everything_wrong_is_told_at_once(self) -> None:
        with pytest.raises(UsageError) as caught:
            parse_all(["a=1,2", "b=", "c=4..1", "a=3"])
        assert str(caught.value).splitlines() == [
            "--over b: expected a value between commas, found nothing",
            "--over c: expected a range from less to more, found '4..1'",
            "--over a: expected each path once, found it again",
        ]

    def test_nothing_to_vary(self) -> None:
        with pytest.raises(UsageError, match="expected a path to vary"):
            parse_all([])


class TestPython:
    def test_a_mapping_of_lists(self) -> None:
        axes = parse_all(
            {"machine.cores": [1, 2], "a": "1..4", "b": ["x", {"nic": {}}, None, True]}
        )
        assert [axis.values for axis in axes] == [
            ("1", "2"),
            ("1", "2", "4"),
            ("x", '{"nic": {}}', "null", "true"),
        ]

    def test_one_text_is_one_axis(self) -> None:
        assert [axis.path for axis in parse_all("machine.cores=1,2")] == ["machine.cores"]

    def test_an_empty_list_is_refused(self) -> None:
        with pytest.raises(UsageError, match="--over a: expected a value, found an empty list"):
            parse_all({"a": []})


class TestNumbers:
    @pytest.mark.parametrize(
        ("texts", "expected"),
        [
            (("1", "4k"), (1, 4000)),
            (("1us", "1ms"), (1_000, 1_000_000)),
            (("1k/s", "30/min"), (1000.0, 0.5)),
            (("1", "0.5"), (1.0, 0.5)),
            (("native", "cpython"), None),
            (("1us", "{exponential: 1us}"), None),
        ],
    )
    def test_values_of_one_quantity_are_numbers(
        self, texts: tuple[str, ...], expected: tuple[float, ...] | None
    ) -> None:
        assert quantities.numbers(texts) == expected
