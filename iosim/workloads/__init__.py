"""Workloads, one file each: who asks for what, when.

A workload's file holds its frozen `Options` and a function
`start(options, context) -> Traffic`, which sets up what will drive the server.
`TRAFFIC` says what it makes: `requests` to a server, or `items` through a pipeline; an
I/O model serves one of them. The file's name is its name in scenarios.

Validated by: tests/conformance
"""
