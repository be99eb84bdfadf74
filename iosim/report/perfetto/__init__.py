"""Traces for the Perfetto UI (ui.perfetto.dev): of a simulated run, and of a measured one.

    wire.py        protobuf's wire format
    packets.py     the packets of a trace, one at a time into a file
    rows.py        what both kinds of traces show
    simulated.py   a machine's trace that goes to a file while the run goes on
    measured.py    what perf has recorded of a real run
    writing.py     a scenario's model to a file

Validated by: tests/report
"""
