"""The page in a real browser: nothing fetched, nothing logged, nothing cut off.

Needs Chromium in PATH; skipped where there is none. Screenshots stay in the test's folder,
to be looked at: `pytest tests/report/test_in_a_browser.py --basetemp shots`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import FOUND, Browser, browser
from test_page import study

pytestmark = pytest.mark.skipif(not FOUND, reason="no Chromium in PATH")

PHONE, DESK = 375, 1200


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shots")


@pytest.fixture(scope="module")
def opened(shots: Path) -> Iterator[Browser]:
    path = shots / "report.html"
    path.write_text(study(), encoding="utf-8")
    with browser() as running:
        running.looks(DESK)
        running.open(path)
        yield running


def test_only_the_page_itself_is_asked_for_and_nothing_is_logged(opened: Browser) -> None:
    assert [url.rsplit("/", 1)[1] for url in opened.requested()] == ["report.html"]
    assert opened.complaints() == []


@pytest.mark.parametrize(("width", "dark"), [(PHONE, False), (DESK, False), (DESK, True)])
def test_it_is_not_wider_than_the_window(
    opened: Browser, shots: Path, width: int, dark: bool
) -> None:
    opened.looks(width, dark=dark)
    (shots / f"{width}{'-dark' if dark else ''}.png").write_bytes(opened.screenshot())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    outside = opened.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, p, figure, figcaption, .legend li')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.textContent)"
    )
    assert outside == []


def test_dark_is_dark(opened: Browser) -> None:
    def paper() -> str:
        found: str = opened.evaluate("getComputedStyle(document.body).backgroundColor")
        return found

    opened.looks(DESK)
    assert paper() == "rgb(255, 255, 255)"
    opened.looks(DESK, dark=True)
    red, green, blue = map(int, paper()[4:-1].split(","))
    assert max(red, green, blue) < 60


def test_steps_are_walked_through_by_button_and_by_key(opened: Browser) -> None:
    opened.looks(DESK)
    moment = "document.querySelector('.moment')"
    where = f"{moment}.querySelector('output').textContent"
    opened.evaluate(f"{moment}.querySelector('.walk button:last-of-type').click()")
    assert opened.evaluate(where).startswith("step 1 of ")
    opened.evaluate(f"{moment}.querySelector('.steps').focus()")
    opened.press("ArrowDown")
    opened.press("ArrowDown")
    opened.press("ArrowUp")
    assert opened.evaluate(where).startswith("step 2 of ")
    current = f"[...{moment}.querySelectorAll('[aria-current]')]"
    assert opened.evaluate(f"{current}.length") == 1
    assert opened.evaluate(f"{moment}.querySelector('.cursor').classList.contains('on')")
    assert opened.evaluate(
        f"{moment}.querySelector('.cursor').x.baseVal.value - {current}[0].dataset.from"
    ) == pytest.approx(0, abs=1.01)
    assert opened.complaints() == []


def test_without_its_script_the_steps_are_a_list(opened: Browser, shots: Path) -> None:
    opened.call("Emulation.setScriptExecutionDisabled", value=True)
    opened.open(shots / "report.html")
    root = opened.call("DOM.getDocument")["root"]["nodeId"]

    def count(selector: str) -> int:
        return len(opened.call("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"])

    assert count(".steps li") > 20
    assert count(".walk") == 0
    opened.call("Emulation.setScriptExecutionDisabled", value=False)


def test_it_prints(opened: Browser, shots: Path) -> None:
    printed = opened.printed()
    (shots / "report.pdf").write_bytes(printed)
    assert printed.startswith(b"%PDF")
