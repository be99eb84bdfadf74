"""Workloads, one file each: who asks for what, when.

A workload's file holds its frozen `Options` and says in `TRAFFIC` what it makes:

- `requests` to a server. The options extend `iosim.workload.Requests`, and a class
  `Source(options, clients, streams)` with a method `start()` offers them.
  Options that name files: the module has `check_files(options, folder, duration_ns)` besides,
  which raises ScenarioError and yields warnings, and the scenario's folder is the Source's fourth
  argument.
- `items` through a pipeline (`iosim.pipeline`).

A workload that can be more or less names in `LOAD` what counts it, `requests/s` or `users`: its
options then have `load`, so many of today, and `at_load(load)`, the same options with another.

An I/O model serves one of the two. The file's name is its name in scenarios.

Validated by: tests/conformance
"""
