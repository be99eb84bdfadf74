"""Micro-measurements: what single operations cost on this machine, in C and in CPython.

    registry.py   what a probe is, and all of them
    needs.py      what a probe needs of the machine
    running.py    one probe, in a process of its own
    (a family)    its probes in Python, and which of ../native/ belong to it

Each sample has everything in the caches and nothing else to do: what a server adds to that is
the fit's to find.

Validated by: tests/calibration/test_probes.py
"""
