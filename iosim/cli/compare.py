"""`iosim compare`: two results, or two models, and who is better in what.

Validated by: tests/cli/test_compare_command.py
"""

from typing import Annotated

import typer

from iosim.cli.answering import give
from iosim.cli.frame import command
from iosim.cli.options import Exports, Json

_SIDE = "A result in JSON (`iosim run --export`), or one model of it as FILE:label."


@command(
    examples=[
        "iosim compare before.json after.json",
        "iosim compare before.json:blocking before.json:epoll --metric p99.9",
    ]
)
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="Show this one, too. May be repeated."),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
    json: Json = False,
    export: Exports = None,
) -> int:
    """Compare two results, simulated or measured: differences, ratios, and how sure they are."""
    from iosim.report.comparison import answer
    from iosim.report.study import require_writable
    from iosim.studies.comparing import compare

    require_writable(export or ())
    give(answer(compare(a, b, metric or ())), export or [], json, markdown)
    return 0
