"""The page: whole, escaped, small, and in need of nothing outside itself."""

import json
import re
from base64 import b64decode
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp

import pytest
from made import EPOLL, EVIL, THREADS, document, measured

from iosim import documents
from iosim.report.html.page import page

VOID = {"br", "link", "meta", "wbr"}


class Reader(HTMLParser):
    """Reads a page, and refuses tags that do not match."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.children: list[str] = []
        self.text: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag}: an attribute twice"
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]


@cache
def study() -> str:
    """A page of three simulated loads, of which one was measured, too."""
    folder = Path(mkdtemp())
    found = [document(folder, rate) for rate in ("5k/s", "10k/s", "20k/s")]
    return page([*found, measured(folder)])


@cache
def read() -> Reader:
    reader = Reader()
    reader.feed(study())
    assert reader.open == []
    return reader


def test_it_is_well_formed_and_has_one_heading_of_the_first_order() -> None:
    reader = read()
    assert study().startswith("<!DOCTYPE html>")
    assert len(reader.all("h1")) == len(reader.all("main")) == 1
    assert reader.all("html")[0]["lang"] == "en"
    levels = [int(name[1]) for name, _, _ in reader.elements if re.fullmatch("h[1-6]", name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_part_that_a_reader_needs_is_there() -> None:
    (*headings,) = (text for level in ("h2", "h3") for text in read().text[level])
    models = [EPOLL, THREADS] * 2  # each in two moments
    assert headings[-len(models) :] == models
    del headings[-len(models) :]
    assert headings == [
        "The models",
        "Against load",
        "A closer look",
        "One request, step by step",
        "Several at once",
        "Where this comes from, and how to get it again",
        "Response time (p50)",
        "Requests answered per second",
        "Context switches per request",
        "CPU time per request",
        "Where the cores' time goes",
        "Where a response's time goes",
        "Distribution of response times",
        "Measured against simulated",
    ]
    assert read().text["h1"][0].startswith("How much load do 2 I/O models carry")


def test_what_a_scenario_says_is_text() -> None:
    assert EVIL in read().text["p"][0]
    assert "alert(" in study()
    assert "<script>alert" not in study()
    assert len(read().all("script")) == 1
    assert "<b>core</b>" not in study()


def test_nothing_is_fetched() -> None:
    for name, attributes, _ in read().elements:
        for attribute in ("src", "href", "action", "data", "srcset", "poster"):
            value = attributes.get(attribute)
            assert value is None or value.startswith(("data:", "#")), (name, value)
    assert not re.search(r"https?://|@import|url\((?!#)", study())


def test_its_policy_allows_its_own_script_alone() -> None:
    (policy,) = [meta["content"] for meta in read().all("meta") if meta.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    (digest,) = re.findall(r"script-src 'sha256-([^']+)'", policy)
    (script,) = re.findall(r"<script>(.*?)</script>", study(), re.DOTALL)
    assert b64decode(digest) == sha256(script.encode()).digest()


def test_it_is_small() -> None:
    assert len(study().encode()) < 1_000_000


def test_every_picture_is_told_in_words() -> None:
    for index, (name, attributes, around) in enumerate(read().elements):
        if name == "svg" and attributes.get("aria-hidden") != "true":
            inner = [
                each for each, _, within in read().elements[index + 1 :]
                if within[: len(around) + 1] == (*around, "svg")
            ]  # fmt: skip
            assert inner[:2] == ["title", "desc"]
            assert attributes["role"] == "img"
            assert attributes["aria-label"]


def test_every_chart_has_its_numbers_as_a_table() -> None:
    figures = re.findall(r"<figure>.*?</figure>", study(), re.DOTALL)
    assert len(figures) == 8
    for figure in figures:
        assert figure.count('<svg viewBox="0 0 440') == 1
        assert "<details>" in figure
        assert "<table>" in figure
        assert "<figcaption>" in figure


def test_every_table_has_headings_of_rows_and_columns() -> None:
    reader = read()
    scopes = [attributes.get("scope") for attributes in reader.all("th")]
    assert set(scopes) == {"col", "row"}
    for table in re.findall(r"<table.*?</table>", study(), re.DOTALL):
        head, body = re.findall(r"<thead>(.*?)</thead><tbody>(.*?)</tbody>", table, re.DOTALL)[0]
        columns = head.count('scope="col"')
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL):
            assert row.count('scope="row"') == 1
            assert row.count("<td") == columns - 1


def test_what_is_referred_to_is_there() -> None:
    ids = [attributes["id"] for _, attributes, _ in read().elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = re.findall(r"url\(#([^)]+)\)", study())
    referred += re.findall(r'aria-labelledby="([^"]+)"', study())
    assert referred
    assert set(referred) <= set(ids)


def test_provenance_says_once_what_all_have_in_common() -> None:
    text = " ".join(read().text["td"])
    assert "a <b>core</b>" in text
    assert "iosim 0." in text
    assert text.count("reference, SHA-256") == 3  # the measured one has no profile
    commands = [line for line in read().text["pre"] if line.startswith("iosim rerun '")]
    assert len(commands) == 4


def test_one_result_has_no_axis_of_load(tmp_path: Path) -> None:
    made = page([document(tmp_path)], timeline=False)
    assert "Against load" not in made
    assert "step by step" not in made
    assert "Where the cores&#x27; time goes" in made


def test_results_without_figures_still_make_a_page(tmp_path: Path) -> None:
    found = document(tmp_path)
    for model in found.data["models"]:
        model.update(metrics={}, response_time_distribution_ns=[], error="deadlock", slo={})
    found.data["interrupted"] = True
    path = tmp_path / "x.json"
    path.write_text(json.dumps(found.data))
    made = page([documents.read(path)], timeline=False)
    assert "deadlock" in made
    assert "the run was ended before" in made


@pytest.mark.parametrize("count", [1, 3])
def test_warnings_that_differ_in_figures_alone_are_told_once(tmp_path: Path, count: int) -> None:
    models = document(tmp_path).data["models"]
    models[0]["warnings"] = [f"warm-up ate {index} of 9" for index in range(count)]
    made = page([document(tmp_path, models=models)], timeline=False)
    assert made.count("warm-up ate") == 1
    assert ("2 more like this" in made) == (count == 3)
    assert f"{EPOLL}: warm-up" in made
