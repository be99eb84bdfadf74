"""The machine is told as plain data and in a line, whatever it does not say."""

import json

from iosim.real.this_machine import describe, one_line, read_cpu

CPUINFO = """\
processor\t: 0
model name\t: AMD EPYC
flags\t\t: fpu vme hypervisor avx

processor\t: 1
model name\t: another
flags\t\t: fpu
"""


def test_what_it_is() -> None:
    machine = describe()
    assert json.loads(json.dumps(machine, allow_nan=False)) == machine
    assert machine["kernel"] and machine["python"] and machine["usable_cores"]
    assert set(machine) >= {"cpu", "mitigations", "clock_source", "limits", "virtual"}


def test_the_first_core_is_told() -> None:
    assert read_cpu(CPUINFO) == {"model": "AMD EPYC", "virtual": True}
    assert read_cpu("flags : fpu")["virtual"] is False
    assert read_cpu(None)["virtual"] is None


def test_in_a_line() -> None:
    machine = {**describe(), "cpu": "AMD EPYC", "virtual": True, "cores": 4, "kernel": "6.1"}
    told = one_line({**machine, "server_cores": [0, 1], "client_cores": [2]})
    assert told.startswith("AMD EPYC, virtual, 4 cores (server on 0,1, clients on 2), Linux 6.1")
    assert "\n" not in told
