"""Calibration: what things cost on this machine, measured and fitted, as a profile.

    probes/     micro-measurements: each a small function that says what it measures
    native/     those of them that are in C
    probing.py  all of them, in passes, as rows
    rows.py     what they give
    trust.py    whether to believe them
    speeds.py   whether a core runs at two speeds
    noise.py    when the host takes a core away; spinning.py sees it
    (the fit)   from rows, and from a few runs of real servers, to costs

Not done: nothing here simulates; the fit calls `iosim.simulate` as everybody does.
Validated by: tests/calibration
"""
