"""Calibration: what things cost on this machine, measured and fitted, as a profile.

    probes/     micro-measurements: each a small function that says what it measures
    rows.py     what they give
    (the fit)   from rows, and from a few runs of real servers, to costs

Not done: nothing here simulates; the fit calls `iosim.simulate` as everybody does.
Validated by: tests/calibration
"""
