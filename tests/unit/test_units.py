"""Quantities: read exactly, refused with their unit named, written back without loss."""

import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iosim import units
from iosim.units import QuantityError

Parse = Callable[[object], int | float]
INTS = st.integers(0, units.LARGEST_INT)


class TestReading:
    @pytest.mark.parametrize(
        ("text", "value_ns"),
        [
            ("0s", 0),
            ("0us", 0),
            ("1ns", 1),
            ("20us", 20_000),
            ("20 us", 20_000),
            ("1.5ms", 1_500_000),
            ("0.001us", 1),
            ("1e3us", 1_000_000),
            ("1E-3us", 1),
            ("2.50s", 2_500_000_000),
            ("3min", 180_000_000_000),
            ("2h", 7_200_000_000_000),
            ("9223372036854775807ns", 2**63 - 1),
            # Not a float on its way: 0.1 + 0.2 in binary would end in ...00000004.
            ("123456789.123456789s", 123_456_789_123_456_789),
        ],
    )
    def test_durations(self, text: str, value_ns: int) -> None:
        value = units.parse_duration(text)
        assert value == value_ns
        assert type(value) is int

    @pytest.mark.parametrize(
        ("text", "value_bytes"),
        [
            ("0B", 0),
            ("64KiB", 65_536),
            ("1.5KiB", 1536),
            ("1kB", 1000),
            ("2MiB", 2 * 1024**2),
            ("2MB", 2_000_000),
            ("1GiB", 1024**3),
            ("1GB", 10**9),
        ],
    )
    def test_sizes(self, text: str, value_bytes: int) -> None:
        assert units.parse_size(text) == value_bytes

    @pytest.mark.parametrize(
        ("text", "per_s"),
        [
            ("10/s", 10.0),
            ("10k/s", 10_000.0),
            ("1e4/s", 10_000.0),
            ("2.5M/s", 2_500_000.0),
            ("1G/s", 1e9),
            ("3/ms", 3000.0),
            ("90/min", 1.5),
            ("36k/h", 10.0),
            ("0.1/s", 0.1),
        ],
    )
    def test_rates(self, text: str, per_s: float) -> None:
        value = units.parse_rate(text)
        assert value == per_s
        assert type(value) is float

    @pytest.mark.parametrize(
        ("text", "fraction"), [("10%", 0.1), ("0%", 0.0), ("100%", 1.0), ("0.29%", 0.0029)]
    )
    def test_fractions(self, text: str, fraction: float) -> None:
        assert units.parse_fraction(text) == fraction

    @pytest.mark.parametrize(
        ("value", "count"),
        [
            (0, 0),
            (7, 7),
            ("7", 7),
            ("10k", 10_000),
            ("1.5M", 1_500_000),
            ("1e6", 10**6),
            ("2G", 2 * 10**9),
            (1e6, 1_000_000),
        ],
    )
    def test_counts(self, value: object, count: int) -> None:
        parsed = units.parse_count(value)
        assert parsed == count
        assert type(parsed) is int


class TestRefusing:
    @pytest.mark.parametrize(
        ("parse", "value", "told"),
        [
            (units.parse_duration, 20, "a duration with its unit, such as 20us, found 20"),
            (units.parse_duration, "20", "a duration with its unit, such as 20us, found '20'"),
            (units.parse_duration, 0, "a duration with its unit, such as 20us, found 0"),
            (units.parse_duration, "0", "a duration with its unit, such as 20us, found '0'"),
            (units.parse_duration, True, "such as 20us, found true"),
            (units.parse_duration, None, "such as 20us, found nothing (null)"),
            (units.parse_duration, "0.5ns", "a whole number of nanoseconds, found '0.5ns'"),
            (units.parse_duration, "1e-999s", "a whole number of nanoseconds"),
            (units.parse_duration, "1e999s", "below 2**63, found '1e999s'"),
            (units.parse_duration, "9223372036854775808ns", "below 2**63"),
            (units.parse_duration, "-5us", "not negative, found '-5us'"),
            (units.parse_size, 4096, "a size with its unit, such as 64KiB, found 4096"),
            (units.parse_size, "0.5B", "a whole number of bytes, found '0.5B'"),
            (units.parse_rate, 10, "a rate with its unit, such as 10k/s, found 10"),
            (units.parse_rate, "10k", "a rate with its unit, such as 10k/s, found '10k'"),
            (units.parse_rate, "1e19/s", "a rate of at most 1e18/s"),
            (units.parse_fraction, 0.1, "a percentage with its sign, such as 10%, found 0.1"),
            (units.parse_fraction, "10", "a percentage with its sign, such as 10%, found '10'"),
            (units.parse_fraction, "101%", "at most 100%, found '101%'"),
            (units.parse_count, True, "a count, such as 100 or 10k, found true"),
            (units.parse_count, 2.5, "a whole number, found 2.5"),
            (units.parse_count, "1.5", "a whole number, found '1.5'"),
            (units.parse_count, -1, "a count from 0 to"),
            (units.parse_count, math.nan, "a count from 0 to"),
            (units.parse_count, math.inf, "a count from 0 to"),
        ],
    )
    def test_says_what_was_expected_and_found(self, parse: Parse, value: object, told: str) -> None:
        with pytest.raises(QuantityError) as caught:
            parse(value)
        assert told in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " 20us",
            "20us ",
            "20  us",
            "1_000us",
            "+5us",
            ".5us",
            "5.us",
            "nanus",
            "infs",
            "NaN",
            "Infinity",
            "0x10us",
            "٣us",
            "20us\n",
            "1,000us",
            "1min30s",
            "1" * 100 + "us",
        ],
    )
    def test_anything_else_is_no_duration(self, text: str) -> None:
        with pytest.raises(QuantityError):
            units.parse_duration(text)

    @pytest.mark.parametrize(
        ("parse", "text", "hint"),
        [
            (units.parse_duration, "20usec", "did you mean 'us'?"),
            (units.parse_duration, "20US", "did you mean 'us'?"),
            (units.parse_duration, "20µs", "did you mean 'us'?"),
            (units.parse_duration, "5mins", "did you mean 'min'?"),
            (units.parse_duration, "20m", "did you mean 'ms' or 'min'?"),
            (units.parse_duration, "20parsec", "the units are h, min, s, ms, us, ns"),
            (units.parse_size, "64KB", "did you mean 'KiB' or 'kB' (1000)?"),
            (units.parse_size, "64kib", "did you mean 'KiB'?"),
            (units.parse_rate, "10k/sec", "did you mean 'k/s'?"),
            (units.parse_rate, "10K/s", "did you mean 'k/s'?"),
            (units.parse_rate, "8k/m", "did you mean 'k/min'?"),
            (units.parse_rate, "8k", "did you mean 'k/s'?"),
            (units.parse_rate, "10ms", units._RATE_UNITS),
            (units.parse_rate, "10", units._RATE_UNITS),
            (units.parse_count, "10K", "did you mean 'k'?"),
            (units.parse_duration, "20", None),
        ],
    )
    def test_unknown_unit_asks_for_the_near_one(
        self, parse: Parse, text: str, hint: str | None
    ) -> None:
        with pytest.raises(QuantityError) as caught:
            parse(text)
        assert caught.value.hint == hint
        assert caught.value.found == repr(text)


class TestCanonicalText:
    """parse(canonical(x)) == x, and canonical text is what a person would have written."""

    @given(INTS)
    def test_duration_round_trip(self, value: int) -> None:
        assert units.parse_duration(units.canonical_duration(value)) == value

    @given(st.sampled_from(list(units.DURATION_NS.values())), st.integers(0, 2_000_000))
    def test_whole_units_round_trip(self, unit_ns: int, number: int) -> None:
        assert units.parse_duration(units.canonical_duration(unit_ns * number)) == unit_ns * number

    @given(INTS)
    def test_size_round_trip(self, value: int) -> None:
        assert units.parse_size(units.canonical_size(value)) == value

    @given(st.floats(0, units.LARGEST_PER_S))
    def test_rate_round_trip(self, value: float) -> None:
        assert units.parse_rate(units.canonical_rate(value)) == value

    @given(st.floats(0, 1))
    def test_fraction_round_trip(self, value: float) -> None:
        assert units.parse_fraction(units.canonical_fraction(value)) == value

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (units.canonical_duration(20_000), "20us"),
            (units.canonical_duration(0), "0s"),
            (units.canonical_duration(90 * 10**9), "90s"),
            (units.canonical_size(65_536), "64KiB"),
            (units.canonical_size(5_000_000), "5MB"),
            (units.canonical_size(1500), "1500B"),
            (units.canonical_rate(10_000.0), "10k/s"),
            (units.canonical_rate(0.5), "0.5/s"),
            (units.canonical_fraction(0.1), "10%"),
            (units.canonical_fraction(0.0029), "0.29%"),
        ],
    )
    def test_looks_as_written(self, text: str, expected: str) -> None:
        assert text == expected


class TestTextForPeople:
    @pytest.mark.parametrize(
        ("value_ns", "text"),
        [
            (0, "0 ns"),
            (5, "5 ns"),
            (5.25, "5.25 ns"),
            (0.5, "0.500 ns"),
            (999.6, "1.00 us"),
            (12_345.6, "12.3 us"),
            (999_499, "999 us"),
            (999_960, "1.00 ms"),
            (1.5e9, "1.50 s"),
            (59.99e9, "1.00 min"),
            (90e9, "1.50 min"),
            (7.2e12, "2.00 h"),
            (1234 * 3.6e12, "1,230 h"),
            (-12_345.6, "-12.3 us"),
            (math.nan, "n/a"),
        ],
    )
    def test_durations(self, value_ns: float, text: str) -> None:
        assert units.format_duration_ns(value_ns) == text

    def test_the_others(self) -> None:
        assert units.format_size(512) == "512 B"
        assert units.format_size(65_536) == "64.0 KiB"
        assert units.format_size(3.5 * 1024**3) == "3.50 GiB"
        assert units.format_count(0) == "0"
        assert units.format_count(999) == "999"
        assert units.format_count(12_345) == "12.3k"
        assert units.format_count(1_000_000) == "1.00M"
        assert units.format_percent(0.12345) == "12.3%"
        assert units.format_percent(1.0) == "100%"
        assert units.format_percent(0.0000005) == "5.00e-5%"
        assert units.format_percent(0.0) == "0%"

    @given(st.floats(1e-3, 1e20))
    def test_three_digits_are_kept(self, value_ns: float) -> None:
        number, unit = units.format_duration_ns(value_ns).split()
        read_back = float(number.replace(",", "")) * units.DURATION_NS[unit]
        assert read_back == pytest.approx(value_ns, rel=0.00501)


class Everything(BaseModel):
    model_config = ConfigDict(validate_default=True, strict=True)

    duration: units.Duration = Field(default="0s", validate_default=True)
    pause: units.PositiveDuration = Field(default="20us", validate_default=True)
    size: units.Size = Field(default="0B", validate_default=True)
    buffer: units.PositiveSize = Field(default="64KiB", validate_default=True)
    rate: units.Rate = Field(default="10k/s", validate_default=True)
    fraction: units.Fraction = Field(default="10%", validate_default=True)
    count: units.Count = 0
    clients: units.PositiveCount = Field(default="10k", validate_default=True)


class TestFields:
    def test_hold_numbers_and_dump_text_that_reads_back(self) -> None:
        read = Everything()
        assert (read.duration, read.pause, read.size, read.buffer) == (0, 20_000, 0, 65_536)
        assert (read.rate, read.fraction, read.count, read.clients) == (10_000.0, 0.1, 0, 10_000)
        dumped = read.model_dump(mode="json")
        assert dumped == {
            "duration": "0s",
            "pause": "20us",
            "size": "0B",
            "buffer": "64KiB",
            "rate": "10k/s",
            "fraction": "10%",
            "count": 0,
            "clients": 10_000,
        }
        assert Everything.model_validate(dumped) == read

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("pause", "0s"),
            ("buffer", "0B"),
            ("rate", "0/s"),
            ("rate", "1e-999/s"),
            ("clients", 0),
            ("duration", 20_000),
            ("size", 4096),
            ("rate", 10.0),
            ("fraction", 0.1),
            ("count", True),
        ],
    )
    def test_refuse(self, field: str, value: object) -> None:
        with pytest.raises(ValidationError) as caught:
            Everything.model_validate({field: value})
        (error,) = caught.value.errors()
        assert error["loc"] == (field,)
        assert isinstance(error["ctx"]["error"], QuantityError)

    def test_json_schema_has_pattern_and_example(self) -> None:
        schema = Everything.model_json_schema()["properties"]
        for name in ("duration", "pause", "size", "buffer", "rate", "fraction"):
            assert schema[name]["type"] == "string"
            assert re.search(schema[name]["pattern"], schema[name]["examples"][0])
            assert not re.search(schema[name]["pattern"], "20")
        assert schema["pause"]["default"] == "20us"
        assert [form["type"] for form in schema["count"]["anyOf"]] == ["integer", "string"]

    @given(st.from_regex(units._QUANTITY, fullmatch=True) | st.text(max_size=12))
    def test_the_pattern_admits_whatever_is_read(self, text: str) -> None:
        schema = Everything.model_json_schema()["properties"]
        parsers: dict[str, Parse] = {
            "duration": units.parse_duration,
            "size": units.parse_size,
            "rate": units.parse_rate,
            "fraction": units.parse_fraction,
        }
        for name, parse in parsers.items():
            try:
                parse(text)
            except QuantityError:
                continue
            assert re.search(schema[name]["pattern"], text)


class TestBandwidth:
    @pytest.mark.parametrize(
        ("text", "bytes_per_s"), [("500MB/s", 500_000_000), ("1.5 GiB/s", 3 * 2**29), ("1B/s", 1)]
    )
    def test_is_whole_bytes_a_second(self, text: str, bytes_per_s: int) -> None:
        assert units.parse_bandwidth(text) == bytes_per_s
        assert units.parse_bandwidth(units.canonical_bandwidth(bytes_per_s)) == bytes_per_s

    @pytest.mark.parametrize("text", ["500MB", "500MB/ms", "500/s", "0.1B/s", 500, "fast"])
    def test_anything_else_is_refused(self, text: object) -> None:
        with pytest.raises(QuantityError):
            units.parse_bandwidth(text)
