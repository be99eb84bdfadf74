"""The command line: arguments in, one library call, text out.

    iosim run SCENARIO         simulate it and print tables
    iosim measure SCENARIO     run it for real on this machine, and print the same tables
    iosim calibrate [-o FILE]  measure what things cost here, and write a profile
    iosim validate SCENARIO... measure and simulate the same, and tell the errors
    iosim profile show|diff    a profile's costs, and what differs between two
    iosim plan SCENARIO        the highest load of each model, and what stops it
    iosim sweep SCENARIO       simulate it at many points: --over path=values
    iosim what-if SCENARIO     what a change does, and which part of it
    iosim compare A B          two results, or two models of one
    iosim rerun RESULT         repeat a result: the same to the bit, or what differs
    iosim report RESULT...     one page of HTML from results
    iosim plot RESULT...       a metric of results as a picture, for a paper
    iosim trace SCENARIO       a simulated run as a trace for the Perfetto UI
    iosim check SCENARIO...    tell every mistake, with line and column
    iosim explain MODEL        one request's life, step by step
    iosim list [WHAT [NAME]]   what there is to choose from
    iosim schema               the scenario's JSON Schema, for editors
    iosim init [FILE]          a commented scenario to start from
    iosim examples [NAME...]   the shipped scenarios, listed or copied out

Data goes to stdout; progress, warnings and errors go to stderr. Exit codes: 0; 1 a run
ended in an error (a deadlock); 2 bad usage or scenario; 3 an objective fails, or a
result is not the same again; 4 an objective or the wanted precision is left undecided;
5 a validation is outside its tolerance; 130 interrupted; 143 terminated.

Each command is a file of its own, added by its name below, in the order that the help shows.

Not done: no logic here. Slow libraries are imported by the command that needs them.
Validated by: tests/cli
"""

from importlib import import_module

from iosim.cli.frame import app, main

COMMANDS = (
    "run",
    "measure",
    "calibrate",
    "validate",
    "profile",
    "plan",
    "sweep",
    "what_if",
    "compare",
    "rerun",
    "report",
    "plot",
    "trace",
    "check",
    "explain",
    "list",
    "schema",
    "init",
    "examples",
)

for _name in COMMANDS:
    import_module(f"{__name__}.{_name}")

__all__ = ["app", "main"]
