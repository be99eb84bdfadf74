"""The tables and sentences of a validation."""

from typing import Any

import pytest
from cases import comparison, scenario, side, validation

from iosim.report.layout import Table, lay_out
from iosim.validation.assessing import Assessment
from iosim.validation.attribution import Attribution, Explanation
from iosim.validation.cells import SATURATION, Load
from iosim.validation.report import cell_tables, summary_tables
from iosim.validation.running import Comparison
from iosim.validation.scoring import score
from iosim.validation.telling import sentences

HALF = Load(0.5)


def cell(model: str = "epoll", cpu: Any = 21_000, **how: Any) -> Comparison:
    real = side(
        disturbed=how.pop("disturbed", ()),
        cpu_time_per_request_ns=20_000,
        switches_per_request=0.5,
        syscalls_recvfrom_per_request=1.0,
        syscalls_futex_per_request=0.01,
        response_time_p99_ns=1_000_000,
        **how,
    )
    told = side(
        cpu_time_per_request_ns=cpu,
        switches_per_request=0.52,
        syscalls_recvfrom_per_request=1.1,
        response_time_p99_ns=500_000,
    )
    return comparison(real, told, HALF, scenario(model))


def at_most(model: str = "epoll") -> Comparison:
    real, told = side(throughput_per_s=10_000), side(throughput_per_s=12_000)
    return comparison(real, told, SATURATION, scenario(model))


def assessed(*comparisons: Comparison, **how: Any) -> Assessment:
    return Assessment(score(validation(*comparisons)), how.get("attributions", ()))


def text(tables: list[Table]) -> str:
    return "\n\n".join("\n".join(lay_out(table)) for table in tables)


def words(told: str) -> list[list[str]]:
    return [line.split() for line in told.splitlines()]


def test_both_sides_stand_side_by_side_with_the_signed_error() -> None:
    (table,) = cell_tables(assessed(cell()))
    lines = words(text([table]))
    assert lines[0] == ["made", "up,", "epoll,", "50%", "(5.00k", "req/s)"]
    assert ["CPU/req", "20.0us", "±0", "21.0us", "±0", "+5.0%", "5%", "within"] in lines
    assert ["switches/req", "0.50", "±0", "0.52", "±0", "+4.0%", "0.05", "within"] in lines
    assert ["p99", "1.00ms", "±0", "500us", "±0", "-50.0%", "35%", "host"] in lines
    assert ["-", "recvfrom", "1.00", "±0", "1.10", "±0", "+10.0%", "-"] in lines
    assert not any("futex" in line for line in lines)  # rare


@pytest.mark.parametrize(("cpu", "word"), [(21_000, "within"), (21_900, "near"), (22_100, "far")])
def test_a_figure_s_standing_is_a_word(cpu: int, word: str) -> None:
    (table,) = cell_tables(assessed(cell(cpu=cpu)))
    (line,) = [line for line in words(text([table])) if line[:1] == ["CPU/req"]]
    assert line[-1] == word


def test_the_whole_in_tables() -> None:
    explained = Attribution(
        "a cell",
        {"cpu_time_per_request_ns": -4.0, "switches_per_request": 0.5},
        (
            Explanation("lock", "lock x2", 0.7, 1.7, 0.9),
            Explanation("scan", "scan x3", 1.1, 2.7, 0.6),
        ),
    )
    two = {"switches_per_request": 3.0, "cpu_time_per_request_ns": 0.1}
    unknown = Attribution("b cell", two, ())
    found = assessed(
        at_most(),
        cell(cpu=26_000),
        at_most("select"),
        cell("select", cpu=20_000, throughput_per_s=1.0),
        attributions=(explained, unknown),
    )
    told = text(summary_tables(found))
    lines = words(told)
    assert ["CPU/req", "light", "2", "0", "15.0%", "3.00", "50%", "NOT", "reached"] in lines
    assert ["switches/req", "light", "2", "0", "4.0%", "0.40", "100%", "reached"] in lines
    assert ["p99", "light", "0", "2", "-", "-", "-", "not", "known"] in lines
    assert any(line[:3] == ["native", "epoll", "20.0%!"] for line in lines)
    assert (
        "a cell: CPU/req is off by -4.0 times what is allowed; lock x2 would explain 90% of its "
        "errors (and scan x3 60%)."
    ) in sentences(found)
    assert (
        "b cell: switches/req is off by +3.0 times what is allowed; no single mechanism would "
        "explain half of its errors."
    ) in sentences(found)
    assert ["p99", "host", "2"] in lines
    assert "host: the tail is the host's" in " ".join(told.split())


def test_no_line_is_longer_than_a_terminal() -> None:
    tables = [*cell_tables(assessed(cell())), *summary_tables(assessed(cell(), at_most()))]
    assert max(len(line) for line in text(tables).splitlines()) <= 80


def test_sentences_say_verdict_machine_held_out_and_noise() -> None:
    spoiled = cell(disturbed=(("stolen",), ("stolen",), ()))
    found = assessed(cell(cpu=26_000), spoiled)
    told = " ".join(sentences(found))
    assert told.startswith("Outside the stated tolerance.")
    assert "All cells were held out: reference was not fitted" in told
    assert "2 of 3 real runs were disturbed" in told and "(stolen)" in told
    assert sentences(assessed(cell()))[0].startswith("Within the stated tolerance")
    assert sentences(assessed(spoiled))[0].startswith("Nothing could be scored")


def test_what_gave_no_result_is_told_once() -> None:
    failed = [
        comparison(side(error="goroutine: no server"), side(), load) for load in (SATURATION, HALF)
    ]
    told = sentences(assessed(*failed))
    assert [line for line in told if "No result" in line] == [
        "No result: goroutine: no server (made up, saturation)."
    ]
