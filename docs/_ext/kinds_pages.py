"""Pages of what can be chosen by name, made from the docstrings of the modules themselves.

A module's docstring says what the kind is, draws it, and names what is left out, its sources and
the tests that hold it. Here these parts get the headings that every topic has.

Validated by: tests/docs/test_reference.py
"""

import inspect
import re
from collections.abc import Iterator
from itertools import groupby
from textwrap import dedent

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
    for drawing, lines in groupby(_paragraphs(docstring), lambda one: one.startswith("    ")):
        if drawing:
            text = "\n\n".join(lines)
            yield from ("```text", dedent(text), "```", "")
        else:
            for paragraph in lines:
                yield from map(prose, paragraph.splitlines())
                yield ""


def _paragraphs(docstring: str) -> Iterator[str]:
    """What blank lines part; the last parts are headings and paragraphs of their own."""
    for paragraph in re.split(r"\n\n+", docstring.strip("\n")):
        for part in re.split(rf"\n(?=(?:{'|'.join(HEADINGS)}): )", paragraph):
            label, _, text = part.partition(": ")
            if label in HEADINGS:
                yield f"**{HEADINGS[label]}**"
            yield text if label in ("Source", "Validated by") else part


def prose(line: str) -> str:
    """A line in which no sign begins a tag of HTML; code between backticks stays as it is."""
    return re.sub(r"(`[^`]*`)|<", lambda found: found[1] or "&lt;", line)
