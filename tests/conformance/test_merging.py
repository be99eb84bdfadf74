"""Running ahead of the clock is only for speed: never doing so gives the same results."""

import pytest
from grounds import CASES, Case, plain, untraced, untraced_once

from iosim.machine.calls import Calls


@pytest.mark.parametrize("case", [c for c in CASES if c.profile == "reference"][::2], ids=str)
def test_settling_before_every_look_changes_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = dict(untraced_once(case))
    monkeypatch.setattr(Calls, "undisturbed", lambda calls: False)
    single = plain(untraced(case))
    del single["events"], merged["events"]
    assert single == merged
