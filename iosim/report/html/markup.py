"""HTML and SVG put together so that no text can become markup.

Text is escaped where it enters; only what `tag` itself has made is taken as it is.

Validated by: tests/report/test_markup.py
"""

from collections.abc import Iterable
from html import escape

VOID = frozenset({"link", "meta", "wbr"})
"""Elements that have no end tag."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Iterable[str] | None


def tag(element: str, /, *children: Child, **attributes: object) -> Markup:
    """An element: `tag("td", "a < b", class_="x")`.

    children: text, which is escaped, `Markup`, or lists of both; None is left out.
    attributes: `class_` is `class`, `stroke_width` is `stroke-width`; None and False are left
    out, True stands alone; a number has at most two decimals.
    """
    start = element + "".join(
        _attribute(name, value)
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    inner = join(children)
    if element in VOID:
        return Markup(f"<{start}>")
    return Markup(f"<{start}>{inner}</{element}>")


def join(children: Iterable[Child]) -> Markup:
    """Children one after the other."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(child))
        else:
            parts.append(join(child))
    return Markup("".join(parts))


def number(value: float) -> str:
    """A coordinate: two decimals are a hundredth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _attribute(name: str, value: object) -> str:
    spelled = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {spelled}"
    text = number(value) if isinstance(value, float) else str(value)
    return f' {spelled}="{escape(text)}"'
