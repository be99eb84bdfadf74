"""What arrives ahead of the clock, while a thread is busy, arrives as it would have.

Zero costs are left out: there the thread falls asleep at the instant of an arrival, and which
of the two comes first is anybody's choice.
"""

import pytest
from grounds import Case, plain, some_cases, untraced

from iosim.machine import calls


@some_cases(every=4)
def test_that_things_arrive_ahead_of_the_clock_changes_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case.profile == "free":
        return
    ahead = plain(untraced(case))
    monkeypatch.setattr(calls, "act_ahead", lambda env, until_ns: False)
    by_the_clock = plain(untraced(case))
    del ahead["events"], by_the_clock["events"]
    assert ahead == by_the_clock
