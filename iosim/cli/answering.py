"""A study's answer on stdout and in files.

Validated by: tests/studies/test_compare.py
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from iosim.cli.output import say

if TYPE_CHECKING:
    from iosim.report.study import Answer


def give(
    answer: "Answer",
    exports: list[Path],
    json: bool,
    markdown: bool = False,
    quiet: bool = False,
) -> None:
    """Print an answer, if `quiet` its main tables alone, and write all of it to files."""
    from iosim.report.layout import style_for, width_for
    from iosim.report.study import to_json, to_markdown, to_text, write_all

    try:
        if json:
            say(to_json(answer))
        elif markdown:
            say(to_markdown(answer))
        else:
            say(to_text(answer, style_for(sys.stdout), width_for(sys.stdout), quiet))
    finally:
        write_all(answer, exports)
