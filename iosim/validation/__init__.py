"""Validation: a scenario for real and simulated at the same loads, and how far they are apart.

    cells.py        what is compared: a scenario, one I/O model, a load
    grid.py         a frozen, balanced design of cells that no fit has seen
    sides.py        what one side, the real or the simulated, says about a cell
    keeping.py      sides in a file of JSON lines, so that a long validation goes on where it ended
    running.py      both sides of every cell
    scoring.py      errors, bounds, and what the host's noise leaves unknown
    ordering.py     whether the models come in the same order
    formula.py      M/G/1 with set-up: the one line that a simulator has to beat
    attribution.py  which mechanism would explain a large error
    report.py       tables; export.py: files; plot.py: a picture

Not done: nothing here changes a cost; that is calibration's.
Validated by: tests/validation
"""
