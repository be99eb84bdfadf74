"""iosim: a discrete-event simulator of I/O models.

    import iosim
    scenario = iosim.load("scenarios/quickstart.yaml")
    results = iosim.simulate(scenario)
    results.summary

`load` reads a scenario file, `simulate` runs each of its I/O models, `Results` holds what
came out. Everything is imported on first use, so that `import iosim` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iosim.errors import IosimError, ScenarioError, SimulationError
    from iosim.results import Results
    from iosim.scenario import Scenario, load
    from iosim.simulation import simulate

__version__ = "0.1.0"

__all__ = [
    "IosimError",
    "Results",
    "Scenario",
    "ScenarioError",
    "SimulationError",
    "__version__",
    "load",
    "simulate",
]

_HOMES = {
    "IosimError": "iosim.errors",
    "Results": "iosim.results",
    "Scenario": "iosim.scenario",
    "ScenarioError": "iosim.errors",
    "SimulationError": "iosim.errors",
    "load": "iosim.scenario",
    "simulate": "iosim.simulation",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'iosim' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)

    globals()[name] = value
    return value
