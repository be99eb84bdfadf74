"""Calibration: what things cost on this machine, measured and fitted, as a profile.

    probes/     micro-measurements: each a small function that says what it measures
    native/     those of them that are in C
    probing.py  all of them, in passes, as rows
    rows.py     what they give
    trust.py    whether to believe them
    speeds.py   whether a core runs at two speeds
    noise.py    when the host takes a core away; spinning.py sees it
    passes.py   rows of several passes as one figure, and how sure it is
    equations.py   which sum of costs a row holds
    solving.py  from rows to costs
    light_runs.py  a few runs of real servers, always asked or at light load
    macro.py    from these to factors on costs inside a running server
    writing.py  all of it as a profile
    calibrating.py  one after the other: `iosim calibrate`
    differing.py    what differs between two profiles
    held_out.py     which runs are no test of a profile

Not done: nothing here simulates; the fit calls `iosim.simulate` as everybody does.
Validated by: tests/calibration
"""
