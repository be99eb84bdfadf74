"""Pages of what can be chosen by name, made from the docstrings of the modules themselves.

A module's docstring says what the kind is, draws it, and names what is left out, its sources and
the tests that hold it. Here these parts get the headings that every topic has.

Validated by: tests/docs/test_reference.py
"""

import inspect
import re
from collections.abc import Iterator

HEADINGS = {
    "Not modelled": "Scope and limitations",
    "Source": "References",
    "Validated by": "Validation",
}
"""A part of a docstring, and the heading that it gets."""


def page(folder: str, title: str) -> Iterator[str]:
    """A page of all kinds of one of iosim's folders, third parties' too."""
    from iosim.plugins import kinds

    yield from (f"# {title}", "", "From the modules' own words.", "")
    for name, module in kinds(folder).items():
        yield from (f"## {name}", "")
        yield from sections(inspect.getdoc(module) or "")


def sections(docstring: str) -> Iterator[str]:
    """A docstring as Markdown: drawings as blocks, its last parts under headings."""
    drawing = False
    for line in docstring.splitlines():
        label, colon, rest = line.partition(": ")
        if drawing and line and not line.startswith("    "):
            yield from ("```", "")
            drawing = False
        if colon and label in HEADINGS:
            yield from ("", f"**{HEADINGS[label]}**", "", _prose(rest))
        elif line.startswith("    ") or (drawing and not line):
            if not drawing:
                yield "```text"
                drawing = True
            yield line[4:]
        else:
            yield _prose(line)
    if drawing:
        yield "```"
    yield ""


def _prose(line: str) -> str:
    """A line in which nothing is markup but what is between backticks."""
    return re.sub(r"[<>]", lambda sign: {"<": "&lt;", ">": "&gt;"}[sign[0]], line)
