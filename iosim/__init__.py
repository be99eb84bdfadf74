"""iosim: a discrete-event simulator of I/O models.

    import iosim
    scenario = iosim.load("scenarios/quickstart.yaml")
    results = iosim.simulate(scenario)
    results.summary

`load` reads a scenario file, `simulate` runs each of its I/O models, `Results` holds what
came out. `load_profile` reads what everything costs, and changes it:

    dear = iosim.load_profile("reference", changes={"context_switch": "5us"})
    iosim.simulate(scenario, profile=dear, precision="5%@p99")

`sweep` simulates it at many points, and keeps what comes out:

    iosim.sweep(scenario, ["machine.cores=1..8"], folder="cores.sweep").table

`what_if` simulates changes beside a baseline, and tells which part of it each one moved;
`sensitivity` tells which costs matter for an answer, and whose order they could overturn;
`compare` tells who of two results is better in what, by how much, and how sure that is.
`rerun` repeats a result from its file, to the bit.
`trace` writes a run as a trace for the Perfetto UI.
`report_page` makes one page of HTML of results, `plot` a picture of one of their metrics; both
take documents: `iosim.documents.read(path)`, or `iosim.documents.of(results)`.

`copy_examples` copies shipped scenarios out.

`calibrate` measures what things cost here, and makes a profile of it.
`measure` runs the same scenario for real, on this machine; `saturate` as fast as it goes;
`validate` holds the simulation against it.
`plan` finds the highest load of each model under its objectives, and what stops it there.
`measure` runs the same scenario for real, on this machine; `saturate` as fast as it goes.

Everything is imported on first use, so that `import iosim` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iosim.calibration.calibrating import Calibration, calibrate
    from iosim.errors import IosimError, MeasurementError, ScenarioError, SimulationError
    from iosim.examples import copy as copy_examples
    from iosim.measurement import measure, saturate
    from iosim.profile import Profile
    from iosim.profile import load as load_profile
    from iosim.report.html.page import page as report_page
    from iosim.report.perfetto.writing import trace
    from iosim.report.plot import plot
    from iosim.results import Results
    from iosim.scenario import Scenario, load
    from iosim.simulation import Precision, simulate
    from iosim.studies.comparing import compare
    from iosim.studies.planning import Plan, plan
    from iosim.studies.rerunning import rerun
    from iosim.studies.sensitivity import sensitivity
    from iosim.studies.sweep import sweep
    from iosim.studies.what_if import what_if
    from iosim.validation.assessing import validate

__version__ = "0.1.0"

__all__ = [
    "Calibration",
    "IosimError",
    "MeasurementError",
    "Plan",
    "Precision",
    "Profile",
    "Results",
    "Scenario",
    "ScenarioError",
    "SimulationError",
    "__version__",
    "calibrate",
    "compare",
    "copy_examples",
    "load",
    "load_profile",
    "measure",
    "plan",
    "plot",
    "report_page",
    "rerun",
    "saturate",
    "sensitivity",
    "simulate",
    "sweep",
    "trace",
    "validate",
    "what_if",
]

_HOMES = {
    "Calibration": "iosim.calibration.calibrating",
    "IosimError": "iosim.errors",
    "MeasurementError": "iosim.errors",
    "Plan": "iosim.studies.planning",
    "Precision": "iosim.simulation",
    "Profile": "iosim.profile",
    "Results": "iosim.results",
    "Scenario": "iosim.scenario",
    "ScenarioError": "iosim.errors",
    "SimulationError": "iosim.errors",
    "compare": "iosim.studies.comparing",
    "copy_examples": "iosim.examples",
    "calibrate": "iosim.calibration.calibrating",
    "load": "iosim.scenario",
    "load_profile": "iosim.profile",
    "measure": "iosim.measurement",
    "plot": "iosim.report.plot",
    "report_page": "iosim.report.html.page",
    "rerun": "iosim.studies.rerunning",
    "plan": "iosim.studies.planning",
    "saturate": "iosim.measurement",
    "sensitivity": "iosim.studies.sensitivity",
    "simulate": "iosim.simulation",
    "sweep": "iosim.studies.sweep",
    "validate": "iosim.validation.assessing",
    "what_if": "iosim.studies.what_if",
    "trace": "iosim.report.perfetto.writing",
}
_THERE = {"copy_examples": "copy", "load_profile": "load", "report_page": "page"}
"""What is called otherwise in its home."""


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'iosim' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), _THERE.get(name, name))

    globals()[name] = value
    return value
