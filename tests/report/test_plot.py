"""Plots: the right values, with their intervals, in every format."""

from pathlib import Path

import pytest
from made import EPOLL, THREADS, document, measured

import iosim
from iosim.errors import UsageError
from iosim.scenario import from_data

pytest.importorskip("matplotlib")

from iosim.report.plot import plot, save, writable


def three(folder: Path) -> list[iosim.documents.Document]:  # type: ignore[name-defined]
    return [
        document(
            folder,
            f"{rate}k/s",
            {
                EPOLL: {"response_time_p50_ns": rate * 1e5, "throughput_per_s": rate * 1e3},
                THREADS: {"response_time_p50_ns": rate * 2e5, "throughput_per_s": rate * 1e3},
            },
        )
        for rate in (20, 5, 10)
    ]


def test_a_line_for_each_model_over_load_with_its_band(tmp_path: Path) -> None:
    (axes,) = plot(three(tmp_path), y="p50").axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == [EPOLL, THREADS]
    assert list(lines[EPOLL].get_xdata()) == [5_000, 10_000, 20_000]
    assert list(lines[EPOLL].get_ydata()) == pytest.approx([0.5, 1, 2])
    assert axes.get_ylabel() == "p50 of response time (ms)"
    assert axes.get_xlabel() == "requests per second"
    assert len(axes.collections) == 2
    low, high = (f(axes.collections[0].get_paths()[0].vertices[:, 1]) for f in (min, max))
    assert (low, high) == (pytest.approx(0.45), pytest.approx(2.2))


def test_one_metric_against_another_and_against_models(tmp_path: Path) -> None:
    (axes,) = plot(three(tmp_path), x="throughput", y="p50").axes
    assert list(axes.get_lines()[1].get_xdata()) == [5_000, 10_000, 20_000]
    (axes,) = plot([document(tmp_path)], x="model", y="p50").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [EPOLL, THREADS]


def test_lines_by_source_and_by_a_key_of_the_scenario(tmp_path: Path) -> None:
    both = [document(tmp_path), measured(tmp_path)]
    (axes,) = plot(both, y="switches", by="source").axes
    assert [line.get_label() for line in axes.get_lines()][:2] == [
        "epoll, source simulated",
        f"{THREADS}, source simulated",
    ]
    assert axes.get_ylabel() == "context switches per request"
    (axes,) = plot(both, x="machine.cores", y="p50").axes
    assert list(axes.get_lines()[0].get_xdata()) == [2, 2]


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"),
                                             ("a.svg", b"<?xml")])  # fmt: skip
def test_each_format_is_written_and_is_the_same_again(
    tmp_path: Path, name: str, start: bytes
) -> None:
    texts = []
    for _ in range(2):
        save(plot([document(tmp_path)], x="model", y="p50"), tmp_path / name)
        texts.append((tmp_path / name).read_bytes())
    assert texts[0].startswith(start)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"y": "p9"}, "--y p9: expected a metric .* did you mean 'p99'"),
        ({"x": "thruput"}, "--x thruput: expected a metric .* did you mean 'throughput'"),
        ({"x": "machine.core"}, "expected a key of the scenario .* did you mean 'cores'"),
        ({"y": "p99.9"}, "none of these results has a value"),
    ],
)
def test_what_is_not_known_is_told_with_the_near_match(
    tmp_path: Path, how: dict[str, str], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        plot([document(tmp_path)], **how)


def test_another_format_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ends in one of .png, .svg, .pdf, found '.pgn'; did you"):
        writable(tmp_path / "a.pgn")


def test_results_plot_themselves() -> None:
    small = {
        "workload": {"open": {"rate": "5k/s", "connections": {"total": 4}}},
        "models": ["epoll", "blocking"],
        "run": {"duration": "20ms", "replications": 2},
    }
    results = iosim.simulate(from_data(small), jobs=1)
    (axes,) = results.plot("throughput").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["epoll", "blocking"]
    assert axes.get_ylabel() == "throughput per second"
