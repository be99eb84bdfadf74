"""The real servers, one file for each I/O model: the twins of `iosim.io_models`, less `yield from`.

A file holds `Options`, a frozen dataclass with the twin's options and defaults (ns, bytes), and
`main(kernel, server, options)`, which serves until the process ends. One that needs several
listeners says how many in `listeners(options)`; one that says `SERVES = "items"` is a pipeline's
program and given a `Pipeline` for a server.
"""
