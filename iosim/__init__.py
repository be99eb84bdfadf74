"""iosim: a discrete-event simulator of I/O models.

    import iosim
    scenario = iosim.load("scenarios/quickstart.yaml")
    results = iosim.simulate(scenario)
    results.summary

`load` reads a scenario file, `simulate` runs each of its I/O models, `Results` holds what
came out. `load_profile` reads what everything costs, and changes it:

    dear = iosim.load_profile("reference", changes={"context_switch": "5us"})
    iosim.simulate(scenario, profile=dear, precision="5%@p99")

`plan` finds the highest load of each model under its objectives, and what stops it there.
`measure` runs the same scenario for real, on this machine; `saturate` as fast as it goes.

Everything is imported on first use, so that `import iosim` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iosim.errors import IosimError, MeasurementError, ScenarioError, SimulationError
    from iosim.measurement import measure, saturate
    from iosim.profile import Profile
    from iosim.profile import load as load_profile
    from iosim.results import Results
    from iosim.scenario import Scenario, load
    from iosim.simulation import Precision, simulate
    from iosim.studies.planning import Plan, plan

__version__ = "0.1.0"

__all__ = [
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
    "load",
    "load_profile",
    "measure",
    "plan",
    "saturate",
    "simulate",
]

_HOMES = {
    "IosimError": "iosim.errors",
    "MeasurementError": "iosim.errors",
    "Plan": "iosim.studies.planning",
    "Precision": "iosim.simulation",
    "Profile": "iosim.profile",
    "Results": "iosim.results",
    "Scenario": "iosim.scenario",
    "ScenarioError": "iosim.errors",
    "SimulationError": "iosim.errors",
    "load": "iosim.scenario",
    "load_profile": "iosim.profile",
    "measure": "iosim.measurement",
    "plan": "iosim.studies.planning",
    "saturate": "iosim.measurement",
    "simulate": "iosim.simulation",
}
_THERE = {"load_profile": "load"}
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
