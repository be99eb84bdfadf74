"""YAML text to plain data that still knows where each part of it was written.

    text -- PyYAML's parser --> events -- here --> nodes with line and column --> plain data

The parser is PyYAML's safe one; what an unquoted word means is decided here, by the core schema of
YAML 1.2, because YAML 1.1 as PyYAML resolves it sets traps in a scenario: `1e6` a string, `on` a
bool, `12:30` the number 750, `017` the number 15, a date an object. What no scenario needs is
refused with its place: repeated keys, keys that are not strings, tags, merge keys (`<<`), NaN and
infinity, a second document, and anything but a mapping at the top.

Hostile input is refused quickly: 1 MiB of text, 100 levels of nesting and 100,000 nodes, counted
with every alias expanded, are the limits.

*Scope*: `load`, `load_bytes`, and `Source`, which answers where a path was written. All problems
are collected into one ScenarioError; a syntax error, a limit passed or the hundredth problem ends
the reading.

*Not done*: no file is opened here, nothing is written, comments are not kept.

*Source*: YAML 1.2.2, section 10.3 (core schema).

*Validated by*: tests/unit/test_yaml_source.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from iosim.errors import Problem, ScenarioError, path_text, shown

if TYPE_CHECKING:
    from yaml.error import Mark

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 100
MAX_NODES = 100_000
MAX_PROBLEMS = 100

# libyaml's parser is some ten times faster, gives the same events and the same marks.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# YAML 1.2.2, 5.1: everything but control characters and surrogates.
_NON_PRINTABLE: re.Pattern[str] = yaml.SafeLoader.NON_PRINTABLE

# YAML 1.2.2, 10.3.2. `.inf` and `.nan` are listed to be refused.
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = dict.fromkeys(("true", "True", "TRUE"), True)
_BOOL |= dict.fromkeys(("false", "False", "FALSE"), False)
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Python refuses to read thousands of digits, and nobody means them.
_LONGEST_NUMBER = 60

_Scalar = str | int | float | bool | None
Path = Sequence[str | int]


@dataclass(slots=True)
class _Node:
    """One value of the document. `expanded` and `height` count aliases as if written out."""

    line: int
    column: int
    value: _Scalar = None
    items: list[_Node] | None = None
    entries: dict[str, _Entry] | None = None
    expanded: int = 1
    height: int = 0

    def data(self) -> Any:
        """Build plain data, with its own copy for every alias, so that editing one is safe."""
        if self.items is not None:
            return [item.data() for item in self.items]
        if self.entries is not None:
            return {key: entry.node.data() for key, entry in self.entries.items()}
        return self.value

    def contain(self, child: _Node) -> None:
        """Count a child in the size and the height of this node."""
        self.expanded += child.expanded
        self.height = max(self.height, child.height + 1)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key's place and its value."""

    line: int
    column: int
    node: _Node


@dataclass(frozen=True)
class Source:
    """A file's data (dict, list, str, int, float, bool, None) and the places it came from."""

    file: str
    data: dict[str, Any]
    _root: _Node = field(repr=False)
    problems: tuple[Problem, ...] = ()
    """What is wrong and leaves the rest readable, if the caller asked to be told that later."""

    def locate(self, path: Path, *, value: bool = False) -> tuple[int, int]:
        """Return line and column, from 1, of the key at `path`, or with `value` of its value.

        An item of a list has no key and answers with its value. Where the path does not exist,
        its nearest ancestor that does exist answers.
        """
        node = self._root
        line, column = node.line, node.column
        for part in path:
            if isinstance(part, int) and node.items is not None and 0 <= part < len(node.items):
                node = node.items[part]
                line, column = node.line, node.column
            elif isinstance(part, str) and node.entries is not None and part in node.entries:
                entry = node.entries[part]
                node, line, column = entry.node, entry.line, entry.column
            else:
                break
        return (node.line, node.column) if value else (line, column)

    def with_data(self, data: dict[str, Any]) -> Source:
        """Return the same places for changed data; a value that was added has its parent's."""
        return Source(self.file, data, self._root, self.problems)


def load_bytes(data: bytes, file: str, *, lenient: bool = False) -> Source:
    """Read UTF-8 bytes, with or without a byte order mark. Raises ScenarioError."""
    if len(data) > MAX_BYTES:
        raise _refusal(file, 1, 1, "at most 1 MiB of YAML", f"{len(data):,} bytes")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refusal(file, 1, 1, "text in UTF-8", "a byte order mark of UTF-16")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _end_of(data[: error.start].decode("utf-8-sig"))
        raise _refusal(
            file, line, column, "text in UTF-8", f"the byte 0x{data[error.start]:02x}"
        ) from None
    return load(text, file, lenient=lenient)


def load(text: str, file: str, *, lenient: bool = False) -> Source:
    """Read one YAML mapping; `file` is the name told in problems. Raises ScenarioError.

    lenient: what leaves the rest readable, as a key given twice, is left in the `problems` of
    what is returned, so that it can be told together with mistakes of another kind.
    """
    if len(text) > MAX_BYTES:
        raise _refusal(file, 1, 1, "at most 1 MiB of YAML", f"{len(text):,} characters")
    text = text.removeprefix("\ufeff")
    unprintable = _NON_PRINTABLE.search(text)
    if unprintable is not None:
        line, column = _end_of(text[: unprintable.start()])
        found = f"the character U+{ord(unprintable[0]):04X}"
        raise _refusal(file, line, column, "printable text", found)
    reader = _Reader(file, text)
    root = reader.read()
    if root is None or root.entries is None or (reader.problems and not lenient):
        raise ScenarioError(reader.problems)
    return Source(file, root.data(), root, tuple(reader.problems))


def _end_of(text: str) -> tuple[int, int]:
    """Return line and column of the character that follows `text`."""
    return text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1


def _refusal(file: str, line: int, column: int, expected: str, found: str) -> ScenarioError:
    return ScenarioError([Problem(file, line, column, "", expected, found)])


class _LimitPassed(Exception):
    """Reading further would cost more than any scenario is worth; the problem is recorded."""


class _Reader:
    """Turns parser events into nodes. One per document."""

    # Nodes are composed here and not by yaml.compose, which recurses once a level without limit
    # and takes a repeated key in silence.

    def __init__(self, file: str, text: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._text = text
        self._events: Iterator[Any] = yaml.parse(text, Loader=_PARSER)
        # None: the anchored node is not complete, so an alias to it would be endless.
        self._anchors: dict[str, _Node | None] = {}
        self._nodes = 0

    def read(self) -> _Node | None:
        """Return the top-level node, or None if there is none to speak of."""
        try:
            return self._document()
        except _LimitPassed:
            pass
        except yaml.MarkedYAMLError as error:
            self._syntax_error(error)
        return None

    def _document(self) -> _Node | None:
        root = None
        documents = 0
        for event in self._events:
            mark: Any = event.start_mark
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    self._problem(mark, (), "one YAML document", "a second one")
                    return root
                first = next(self._events)
                root = self._node(first, (), 0)
                if root.entries is None:
                    empty = first.end_mark.index == first.start_mark.index
                    found = shown(root.value if root.items is None else root.items)
                    if isinstance(first, yaml.ScalarEvent) and empty:
                        found = "no value"
                    self._problem(first.start_mark, (), "a mapping at the top", found)
        if documents == 0:
            self.problems.append(
                Problem(self._file, 1, 1, "", "a mapping at the top", "an empty file")
            )
        return root

    def _node(self, event: Any, path: tuple[str | int, ...], depth: int) -> _Node:
        """Compose the node that begins with this event, and count it."""
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            node = self._anchored(event, path)
            self._count(mark, path, node.expanded, depth + node.height)
            return node
        self._count(mark, path, 1, depth)
        if event.tag is not None:
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!"))
            hint = "quote a value to make it a string" if tag == "'!!str'" else None
            self._problem(mark, path, "a value without a tag", f"the tag {tag}", hint)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node = _Node(mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.ScalarEvent):
            node.value = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._fill_sequence(node, path, depth)
        else:
            self._fill_mapping(node, path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _fill_sequence(self, node: _Node, path: tuple[str | int, ...], depth: int) -> None:
        node.items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item = self._node(event, (*path, len(node.items)), depth + 1)
            node.items.append(item)
            node.contain(item)

    def _fill_mapping(self, node: _Node, path: tuple[str | int, ...], depth: int) -> None:
        node.entries = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            mark = event.start_mark
            key = self._key(event, path, depth)
            value = self._node(next(self._events), path if key is None else (*path, key), depth + 1)
            node.contain(value)
            if key is None:
                continue
            if (first := node.entries.get(key)) is not None:
                found = f"{key!r} again, first on line {first.line}, column {first.column}"
                self._problem(mark, (*path, key), "each key once", found)
                continue
            node.entries[key] = _Entry(mark.line + 1, mark.column + 1, value)

    def _key(self, event: Any, path: tuple[str | int, ...], depth: int) -> str | None:
        """Return a mapping's next key, or None if it is refused and stands for none."""
        mark = event.start_mark
        plain = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
        if plain and event.value == "<<":
            self._node(event, path, depth + 1)
            self._problem(
                mark, path, "the keys written out", "the merge key '<<'", "it is not supported"
            )
            return None
        before = len(self.problems)
        key = self._node(event, path, depth + 1)
        if isinstance(key.value, str):
            return key.value
        if len(self.problems) == before:
            found = shown(key.items or key.entries or key.value)
            hint = f'did you mean "{event.value}", in quotes?' if plain and event.value else None
            self._problem(mark, path, "a key that is a string", found, hint)
            if hint is not None:
                return str(event.value)  # so that what refers to it is not told as well
        return None

    def _anchored(self, event: Any, path: tuple[str | int, ...]) -> _Node:
        """Return the node that an alias stands for."""
        if event.anchor not in self._anchors:
            self._problem(event.start_mark, path, "an alias of an anchor above", f"*{event.anchor}")
        elif (node := self._anchors[event.anchor]) is None:
            found = f"*{event.anchor} inside its own anchor"
            self._problem(event.start_mark, path, "an alias that ends", found)
        else:
            return node
        return _Node(event.start_mark.line + 1, event.start_mark.column + 1)

    def _count(self, mark: Mark, path: tuple[str | int, ...], nodes: int, depth: int) -> None:
        self._nodes += nodes
        if depth > MAX_DEPTH:
            self._problem(mark, (), f"at most {MAX_DEPTH} levels of nesting", "more")
            raise _LimitPassed
        if self._nodes > MAX_NODES:
            expected = f"at most {MAX_NODES:,} values, aliases written out"
            self._problem(mark, path, expected, "more")
            raise _LimitPassed

    def _scalar(self, event: Any, path: tuple[str | int, ...]) -> _Scalar:
        """Give a scalar its YAML 1.2 core value; only a plain (unquoted) one is not a string."""
        text: str = event.value
        if not event.implicit[0]:
            # An escape ("\x1b", "\0") can spell what the file itself may not contain, and what no
            # terminal, file name or UTF-8 output should be given.
            if (control := _NON_PRINTABLE.search(text)) is not None:
                found = f"an escape for the character U+{ord(control[0]):04X}"
                self._problem(event.start_mark, path, "printable text", found)
                return ""
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _NOT_FINITE.fullmatch(text):
            self._problem(event.start_mark, path, "a finite number", text)
            return 0.0
        is_int = _INT.fullmatch(text) is not None
        if not is_int and _FLOAT.fullmatch(text) is None:
            return text
        if len(text) > _LONGEST_NUMBER:
            expected = f"a number of at most {_LONGEST_NUMBER} characters"
            self._problem(event.start_mark, path, expected, f"{len(text):,} characters")
            return 0
        if is_int:
            # int(text, 0) would refuse 017, which YAML 1.2 reads as seventeen.
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        number = float(text)
        if not math.isfinite(number):
            self._problem(event.start_mark, path, "a number that a float can hold", text)
        return number

    def _problem(
        self,
        mark: Mark,
        path: tuple[str | int, ...],
        expected: str,
        found: str,
        hint: str | None = None,
    ) -> None:
        line, column = mark.line + 1, mark.column + 1
        self.problems.append(
            Problem(self._file, line, column, path_text(path), expected, found, hint)
        )
        if len(self.problems) >= MAX_PROBLEMS:
            raise _LimitPassed

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> None:
        """Record what the parser could not read, in its own words."""
        mark = error.problem_mark or error.context_mark
        began = error.context_mark
        context = error.context or ""
        if context and began is not None and began.line != (mark.line if mark else began.line):
            context += f" that began on line {began.line + 1}, column {began.column + 1}"
        found = f"a syntax error ({', '.join(filter(None, (error.problem, context)))})"
        # libyaml does not say which character it could not take.
        character = self._text[mark.index : mark.index + 1] if mark else ""
        hint = None
        if "cannot start any token" in found:
            tab = character == "\t"
            hint = "indent with spaces, not tabs" if tab else f"put {character!r} in quotes"
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.problems.append(Problem(self._file, line, column, "", "valid YAML", found, hint))
