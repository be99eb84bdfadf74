"""Each real server and its simulated twin are the same program: same names, same options."""

import pkgutil
import subprocess
import sys
from dataclasses import fields
from importlib import import_module

import pytest

from iosim import io_models, real
from iosim.real import servers

TWINS = sorted(each.name for each in pkgutil.iter_modules(servers.__path__))
WITHOUT = {"goroutine", "prefork"}
"""I/O models that Python has no server for."""


def test_every_io_model_has_a_twin() -> None:
    assert {each.name for each in pkgutil.iter_modules(io_models.__path__)} - WITHOUT == set(TWINS)


@pytest.mark.parametrize("name", TWINS)
def test_twins_take_the_same_options(name: str) -> None:
    simulated = import_module(f"iosim.io_models.{name}")
    served = import_module(f"iosim.real.servers.{name}")
    options = simulated.Options()  # which makes ns and bytes of durations and sizes
    of_simulated = {each: getattr(options, each) for each in simulated.Options.model_fields}
    of_served = {each.name: each.default for each in fields(served.Options)}
    assert of_served == of_simulated
    assert list(of_served) == list(of_simulated)
    assert {each: type(value) for each, value in of_served.items()} == {
        each: type(value) for each, value in of_simulated.items()
    }


@pytest.mark.parametrize("name", TWINS)
def test_twins_serve_the_same(name: str) -> None:
    simulated = import_module(f"iosim.io_models.{name}")
    served = import_module(f"iosim.real.servers.{name}")
    assert getattr(served, "SERVES", None) == getattr(simulated, "SERVES", None)
    assert served.__doc__ is not None and simulated.__doc__ is not None
    assert f"Twin of: iosim/io_models/{name}.py" in served.__doc__
    assert served.Options.__doc__ == simulated.Options.__doc__


IMPORT = """
import pkgutil, sys
from importlib import import_module
from iosim import real
for each in pkgutil.walk_packages(real.__path__, "iosim.real."):
    import_module(each.name)
print(*{"simpy", "numpy", "pandas", "pydantic", "yaml"} & set(sys.modules))
"""


def test_a_real_run_imports_nothing_of_the_simulator() -> None:
    assert real.__path__
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr
