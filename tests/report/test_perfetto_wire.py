"""Protobuf's wire format, against bytes worked out by hand and protobuf's own reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

from iosim.report.perfetto import wire


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, b"\x00"),
        (1, b"\x01"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (300, b"\xac\x02"),
        (2**64 - 1, b"\xff" * 9 + b"\x01"),
        (-1, b"\xff" * 9 + b"\x01"),
        (-(2**63), b"\x80" * 9 + b"\x01"),
    ],
)
def test_a_varint_is_as_the_encoding_s_page_shows_it(value: int, expected: bytes) -> None:
    assert wire.varint(value) == expected


def test_fields_are_as_the_encoding_s_page_shows_them() -> None:
    assert wire.number(1, 150) == b"\x08\x96\x01"
    assert wire.text(2, "testing") == b"\x12\x07testing"
    assert wire.message(3, wire.number(1, 150)) == b"\x1a\x03\x08\x96\x01"


@given(
    st.integers(0, 2**64 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=300),
    st.integers(0, 2**64 - 1),
)
def test_another_reader_finds_what_was_written(
    track: int, value: int, name: str, flow: int
) -> None:
    written = wire.number(11, track) + wire.number(30, value) + wire.text(23, name)
    event = protos.TrackEvent.FromString(written + wire.fixed(47, flow))
    assert (event.track_uuid, event.counter_value, list(event.flow_ids)) == (track, value, [flow])
    assert event.name == name


def test_what_is_no_text_becomes_question_marks() -> None:
    assert wire.text(1, "a\ud800b") == wire.text(1, "a?b")
