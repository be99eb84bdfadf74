"""The machine on which a scenario is measured: what has to stand beside every figure.

Validated by: tests/real/test_this_machine.py
"""

import os
import platform
import resource
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

VULNERABILITIES = Path("/sys/devices/system/cpu/vulnerabilities")


def describe() -> dict[str, Any]:
    """What it is, as plain data; None: it does not say."""
    cpu = read_cpu(_text("/proc/cpuinfo"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "cpu": cpu["model"],
        "cores": os.cpu_count(),
        "usable_cores": sorted(os.sched_getaffinity(0)),
        "virtual": cpu["virtual"],
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "kernel_version": platform.version(),
        "architecture": platform.machine(),
        "mitigations": {path.name: _text(path) for path in sorted(_files(VULNERABILITIES))},
        "clock_source": _text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "frequency_governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "idle_driver": _text("/sys/devices/system/cpu/cpuidle/current_driver"),
        "limits": {
            "open_files": [_limit(soft), _limit(hard)],
            "somaxconn": _number("/proc/sys/net/core/somaxconn"),
            "local_ports": _text("/proc/sys/net/ipv4/ip_local_port_range"),
            "threads": _number("/proc/sys/kernel/threads-max"),
        },
        "root": os.geteuid() == 0,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libc": " ".join(platform.libc_ver()),
    }


def read_cpu(text: str | None) -> dict[str, Any]:
    """The model's name, and whether there is a hypervisor under it, from /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in (text or "").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return {
        "model": fields.get("model name") or platform.processor() or None,
        "virtual": "hypervisor" in fields["flags"].split() if "flags" in fields else None,
    }


def one_line(machine: Mapping[str, Any]) -> str:
    """The same in a few words."""
    kind = {True: "virtual, ", False: "", None: ""}[machine["virtual"]]
    mitigated = sum("Mitigation" in (text or "") for text in machine["mitigations"].values())
    placed = [
        f"{who} on {','.join(map(str, machine[key]))}"
        for who, key in (("server", "server_cores"), ("clients", "client_cores"))
        if machine.get(key)
    ]
    return ", ".join(
        [
            machine["cpu"] or machine["architecture"],
            f"{kind}{machine['cores']} cores ({', '.join(placed)})",
            f"Linux {machine['kernel']}",
            f"clock {machine['clock_source']}",
            f"{mitigated} mitigations",
            machine["python"],
        ]
    )


def _files(folder: Path) -> list[Path]:
    with suppress(OSError):
        return list(folder.iterdir())
    return []


def _limit(value: int) -> int | None:
    return None if value == resource.RLIM_INFINITY else value


def _text(path: str | Path) -> str | None:
    with suppress(OSError):
        return Path(path).read_text().strip()
    return None


def _number(path: str) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.isdigit() else None
