"""Whether a model keeps up with its load: the verdict on what its runs left over.

Scope: at most a hundredth of what was asked may be left over (iosim/backlog.py), besides what a
Poisson number varies. This is held against the mean over replications, as it varies much from run
to run; it fails where the whole interval says so.
Not done: loads that are too high by no more than that; runs of so few requests that it is chance.
Validated by: tests/studies/test_keeping_up.py
"""

from iosim.slo import Slo, Verdict
from iosim.statistics import Estimate

KEEPS_UP = Slo("keeps up", "backlog", "<=", 0.01)
"""An objective besides the given ones: what is left over, as a part of what was asked."""


def keeps_up(left: Estimate) -> Verdict:
    """The verdict on what is left over."""
    if left.mean is None or KEEPS_UP.meets(left.mean):
        return "pass"
    return KEEPS_UP.judge(left)
