"""I/O models, one file each: how a server's threads wait for many connections.

A model's file holds its frozen `Options` and its program, `main(kernel, server, options)`,
which the server's first thread runs; it starts the others. The file's name is its name
in scenarios. `SERVES` says which workload's traffic it takes: `requests` (the default)
or `items` (the producer-consumer pipeline).

A program uses its kernel's calls (`yield from kernel.recvfrom(connection)`) and the
handler's (`iosim.handler`), nothing else.

Validated by: tests/conformance
"""
