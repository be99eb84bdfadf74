"""Studies: one question, many simulated scenarios, one answer.

    plan    how much load each I/O model carries, what limits it, which setting is enough

A study makes scenarios from a scenario, runs them, and hands back one frozen result that is
its document. How it is told is `iosim/report`'s.
"""
