"""Requests watched again: the document's scenario simulated anew, with its own costs.

Of each model two moments are shown: a request that has the server to itself, and the few
that come closest together: chosen by the same rule for every model, among the same arrivals.

Scope: what was simulated; of a run of many requests, the first `ENOUGH` are watched.
Validated by: tests/report/test_moments.py
"""

from dataclasses import dataclass

from iosim.documents import Document
from iosim.errors import IosimError, UsageError
from iosim.machine.costs import Costs
from iosim.report.html.study import duration_ns
from iosim.report.timeline import Moment, observe
from iosim.scenario import Scenario, label_of

ENOUGH = 3_000
"""Requests to choose from."""

ALONE, TOGETHER = "alone", "together"


@dataclass(frozen=True)
class Watched:
    """The moments of one model, by `ALONE` and `TOGETHER`; or why there are none."""

    label: str
    moments: dict[str, Moment]
    why_not: str = ""


def watch(document: Document) -> list[Watched]:
    """Watch every model of a simulated document. Raises IosimError if none can be watched."""
    scenario = _shortened(document)
    try:
        costs = Costs.from_data(document.data["provenance"]["costs"])
    except (KeyError, TypeError):
        raise UsageError(f"{document.name}: its costs are those of another version") from None
    found = []
    for model in scenario.models:
        label = label_of(model)
        try:
            moments = {
                name: observe(scenario, model, costs, busy)
                for name, busy in ((ALONE, False), (TOGETHER, True))
            }
            found.append(Watched(label, moments))
        except IosimError as error:
            found.append(Watched(label, {}, str(error)))
    return found


def _shortened(document: Document) -> Scenario:
    scenario = document.scenario()
    offered = max((model.mean("offered") or 0.0 for model in document), default=0.0)
    if offered <= ENOUGH:
        return scenario
    shorter_ns = int(duration_ns(document) * ENOUGH / offered)
    return scenario.model_copy(
        update={"run": scenario.run.model_copy(update={"duration": shorter_ns, "warm_up": "none"})}
    )
