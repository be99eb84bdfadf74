"""Finding what can be chosen by name: one kind, one file.

A kind is a module: one of iosim's own in its folder, or one that a third party announces
under the entry-point group `iosim.FOLDER` (`iosim.io_models`, `iosim.devices`, ...). Its
name in scenarios is the module's file name, or the entry point's name. It has

- a docstring, whose first line says what it is;
- `Options`, its frozen configuration;
- what its folder's `__init__` asks for besides.

Raises PluginError for one that cannot be imported or lacks something.

Validated by: tests/conformance/test_plugins.py
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoints, distributions
from types import MappingProxyType, ModuleType

from iosim.errors import PluginError

NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "io_models": ("Options", "main"),
        "devices": ("Options", "ROLE"),
        "workloads": ("Options", "TRAFFIC"),
        "schedulers": ("Options", "Queue"),
        "metrics": ("NAMES", "measure"),
    }
)
"""What a kind's module must define, by folder."""

NEEDS_BY_ROLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"network": ("Network",), "backend": ("Device",)}
)
"""What a device's module must define besides."""


@cache
def _announced() -> EntryPoints:
    """All entry points of all installed distributions: looked through once."""
    return EntryPoints(entry for own in distributions() for entry in own.entry_points)


@cache
def kinds(folder: str) -> Mapping[str, ModuleType]:
    """All kinds of one folder by name, iosim's own first, each group sorted."""
    package = importlib.import_module(f"iosim.{folder}")
    found: dict[str, ModuleType] = {}
    for own in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        found[own.name] = importlib.import_module(f"iosim.{folder}.{own.name}")
    for entry in sorted(_announced().select(group=f"iosim.{folder}"), key=lambda e: e.name):
        if entry.name in found:
            raise PluginError(f"{entry.value}: iosim.{folder} has a '{entry.name}' already")
        try:
            found[entry.name] = entry.load()
        except ImportError as error:
            raise PluginError(f"{entry.value} (iosim.{folder}): {error}") from error
    for name, module in found.items():
        needs = [*NEEDS[folder], *NEEDS_BY_ROLE.get(getattr(module, "ROLE", ""), ())]
        if getattr(module, "TRAFFIC", "") == "requests":
            needs.append("Source")
        missing = [need for need in needs if not hasattr(module, need)]
        if missing or not module.__doc__:
            lacks = ", ".join(missing) or "a docstring"
            raise PluginError(f"{module.__name__} ('{name}' in iosim.{folder}) lacks {lacks}")
    return MappingProxyType(found)


def first_line(module: ModuleType) -> str:
    """What a kind is, in one line."""
    assert module.__doc__ is not None
    return module.__doc__.strip().splitlines()[0]
