"""Finding what can be chosen by name: one kind, one file.

A kind is a module: one of iosim's own in its folder, or one that a third party announces
under the entry-point group `iosim.FOLDER` (`iosim.io_models`, `iosim.devices`, ...). Its
name in scenarios is the module's file name, or the entry point's name. It has

- a docstring, whose first line says what it is;
- `Options`, its frozen configuration, derived from `iosim.choice.Options`;
- what its folder's `__init__` asks for besides.

One of a third party's that cannot be imported or lacks something is left out, so that
everything else goes on without it; `broken` tells which, and why. One of iosim's own
that does is an error of iosim: PluginError.

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
    """All kinds of one folder that work, by name, iosim's own first, each group sorted."""
    found = {name: importlib.import_module(f"iosim.{folder}.{name}") for name in _own_names(folder)}
    for name, module in found.items():
        if complaint := _complaint(folder, module):
            raise PluginError(f"{module.__name__} ('{name}' in iosim.{folder}) {complaint}")
    return MappingProxyType({**found, **_third_parties(folder)[0]})


def broken(folder: str) -> Mapping[str, str]:
    """Third parties' kinds of one folder that cannot be used: by name, why, in one line."""
    return _third_parties(folder)[1]


def _own_names(folder: str) -> list[str]:
    package = importlib.import_module(f"iosim.{folder}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


@cache
def _third_parties(folder: str) -> tuple[Mapping[str, ModuleType], Mapping[str, str]]:
    """What third parties have announced: the kinds that work, and why others do not."""
    own = _own_names(folder)
    good: dict[str, ModuleType] = {}
    bad: dict[str, str] = {}
    for entry in sorted(_announced().select(group=f"iosim.{folder}"), key=lambda e: e.name):
        if entry.name in own or entry.name in good:
            bad[entry.name] = f"{entry.value}: iosim.{folder} has a '{entry.name}' already"
            continue
        try:
            module = entry.load()
            complaint = _complaint(folder, module) or _complaint_of_schema(module)
        except Exception as error:  # a stranger's code may raise anything
            complaint = f"cannot be imported: {_in_one_line(error)}"
        if complaint:
            bad[entry.name] = f"{entry.value} {complaint}"
        else:
            good[entry.name] = module
    return MappingProxyType(good), MappingProxyType(bad)


def _complaint(folder: str, module: ModuleType) -> str | None:
    """What a kind's module lacks, in words that follow its name; None if it has all."""
    from iosim.choice import Options

    needs = [*NEEDS[folder], *NEEDS_BY_ROLE.get(getattr(module, "ROLE", ""), ())]
    if getattr(module, "TRAFFIC", "") == "requests":
        needs.append("Source")
    missing = [need for need in needs if not hasattr(module, need)]
    if missing or not module.__doc__:
        return f"lacks {', '.join(missing) or 'a docstring'}"
    if "Options" not in needs:
        return None
    options = module.Options
    if not (isinstance(options, type) and issubclass(options, Options)):
        return "has Options that do not derive from iosim.choice.Options"
    if folder == "io_models" and "label" in options.model_fields:
        return "has an option 'label', which every model has from iosim"
    return None


def _complaint_of_schema(module: ModuleType) -> str | None:
    """Why scenarios with a module's Options could not be read; None if they can."""
    if not hasattr(module, "Options"):
        return None
    try:
        module.Options.model_rebuild()
    except Exception as error:
        return f"has Options that pydantic refuses: {_in_one_line(error)}"
    return None


def _in_one_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def first_line(module: ModuleType) -> str:
    """What a kind is, in one line."""
    assert module.__doc__ is not None
    return module.__doc__.strip().splitlines()[0]
