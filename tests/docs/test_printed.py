"""What a page shows as printed is what its command prints now, to the last digit.

Held are those pages whose commands take a few seconds: a block of text right behind a command is
its output, and a line `...` in it stands for lines that are left out. What takes longer has the
comment `<!-- not compared: WHY -->` above it.
"""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from test_readme import PAGES, blocks
from typer.testing import CliRunner

from iosim.cli import app

ROOT = Path(__file__).parents[2]
LEFT_OUT = "..."


def shown(page: str) -> list[tuple[str, str]]:
    """Each command with the text behind it that it prints."""
    lines = PAGES[page].read_text(encoding="utf-8").splitlines()
    found = []
    for before, block in pairwise(blocks(page)):
        if (before.language, block.language) == ("sh", "text"):
            above = next(line for line in reversed(lines[: block.line - 1]) if line.strip())
            if not re.fullmatch(r"<!-- not compared: \S.* -->", above):
                found.append((before.text.splitlines()[-1], block.text))
    return found


def missing(text: str, printed: str) -> list[str]:
    """The pieces of a text, parted by `...`, that are not printed in this order."""
    without, at = [], 0
    pieces = re.split(rf"^{re.escape(LEFT_OUT)}$", text, flags=re.MULTILINE)
    for piece in (each.strip("\n") for each in pieces):
        start = f"\n{printed}\n".find(f"\n{piece}\n", at)
        if start < 0:
            without.append(piece)
        else:
            at = start + len(piece)
    return without


def test_what_is_missing_is_told() -> None:
    printed = "title\n\na 1\nb 2\n\nend"
    assert missing("title\n...\nb 2\n", printed) == []
    assert missing("...\nb 2\n...\na 1\n", printed) == ["a 1"]
    assert missing("...\na 1\nb 3\n...\n", printed) == ["a 1\nb 3"]
    assert missing("...\na\n", printed) == ["a"]


@pytest.mark.parametrize(("line", "text"), shown("docs/how-to/what-if.md"))
def test_a_page_shows_what_is_printed(
    line: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, [*shlex.split(line)[1:], "--jobs", "1"])
    assert done.exit_code == 0, done.stderr
    assert not missing(text, done.stdout), done.stdout
