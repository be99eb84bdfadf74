"""What a sweep came to, as tables.

Validated by: tests/studies/test_sweep.py
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from iosim.scenario import Scenario
from iosim.studies import quantities
from iosim.studies.grid import Axis
from iosim.studies.store import read, read_plan

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a sweep is."""

    done: int
    """Points finished now, whether they failed or not."""
    failed: int
    """Of all points, those kept from before included."""
    kept: int
    """Points whose results were there already."""
    left: int


Progress = Callable[[Standing], None]
"""Called when the points are known, and whenever one is finished."""


@dataclass(frozen=True)
class Sweep:
    """A sweep's results, which are on disk: the tables are read from there when first asked for."""

    scenario: Scenario
    axes: tuple[Axis, ...]
    folder: Path
    standing: Standing
    interrupted: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """What was varied."""
        return [axis.path for axis in self.axes]

    @cached_property
    def estimates(self) -> "pd.DataFrame":
        """One row a point, model and metric: number, the paths, point, state, model, error,
        warnings, metric, mean, low, high (95%), n.

        Values at the paths are texts, as in a scenario. A point or model that failed has a row with
        its error and no metric; a point that was not finished has none.
        """
        rows = read_plan(self.folder).merge(read(self.folder), on="point", sort=False)
        # By point as planned, whatever the order in which they were finished.
        rows = rows.sort_values("number", kind="stable", ignore_index=True)
        columns = ["point", "state", "model", "error", "warnings", "metric"]
        return rows[["number", *self.paths, *columns, "mean", "low", "high", "n"]]

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row a point and model, in the order of points, then of models.

        number, the paths, model, error, warnings, and for each metric its mean and the ends of its
        95% interval as METRIC_low and METRIC_high: NaN where there is none. Where all values of a
        path are of one quantity, they are numbers, in the unit that metrics have: ns, bytes, per
        second, 0 to 1. Otherwise they are texts.
        """
        import pandas as pd

        rows = self.estimates
        keys = ["number", "model"]
        heads = rows.drop_duplicates(keys)[[*keys, *self.paths, "warnings"]].set_index(keys)
        errors = rows[rows["error"] != ""].drop_duplicates(keys).set_index(keys)["error"]
        heads["error"] = errors.reindex(heads.index).fillna("")
        for axis in self.axes:
            texts = tuple(heads[axis.path])
            heads[axis.path] = quantities.numbers(texts) or texts
        told = rows[rows["metric"] != ""]
        names = list(dict.fromkeys(told["metric"]))
        columns = [heads.reset_index()[["number", *self.paths, "model", "error", "warnings"]]]
        by_metric = dict(iter(told.groupby("metric", sort=False)))
        for name in names:
            own = by_metric[name].set_index(keys)[["mean", "low", "high"]].reindex(heads.index)
            own.columns = [name, f"{name}_low", f"{name}_high"]
            columns.append(own.reset_index(drop=True))
        return pd.concat(columns, axis=1)
