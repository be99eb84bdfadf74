"""Protobuf's wire format, as much of it as a trace needs.

    field     = tag(number << 3 | type) value
    number    = varint: seven bits a byte, the lowest first, the top bit set but in the last
    text      = varint(length) bytes; so is a message in a message
    fixed     = eight bytes, the lowest first

Scope: integers from -2**63 to 2**64 - 1, fields up to number 2**29 - 1.
Not done: floats, packed repeated fields, reading.
Source: protobuf.dev, "Encoding".
Validated by: tests/report/test_perfetto_wire.py
"""

from functools import cache, lru_cache

VARINT, FIXED_64, LENGTH_DELIMITED = 0, 1, 2


def varint(value: int) -> bytes:
    """`value` in seven-bit groups; a negative one as its two's complement of 64 bits."""
    if value < 0:
        value += 1 << 64
    if value < 128:
        return _SMALL[value]
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    groups.append(value)
    return bytes(groups)


_SMALL = [bytes((value,)) for value in range(128)]


@cache
def tag(field: int, wire_type: int) -> bytes:
    """What stands before a field's value; there are as many as the format has fields."""
    return varint(field << 3 | wire_type)


def number(field: int, value: int) -> bytes:
    """An integer, a boolean or an enumeration's value."""
    return tag(field, VARINT) + varint(value)


def fixed(field: int, value: int) -> bytes:
    """An unsigned integer of 64 bits that takes eight bytes whatever it is."""
    return tag(field, FIXED_64) + value.to_bytes(8, "little")


def message(field: int, content: bytes) -> bytes:
    """A message within a message."""
    return tag(field, LENGTH_DELIMITED) + varint(len(content)) + content


@lru_cache(maxsize=4096)
def text(field: int, string: str) -> bytes:
    """A string in UTF-8; what cannot be written in it becomes a question mark."""
    return message(field, string.encode("utf-8", "replace"))
