"""Probes of POSIX AIO, which CPython does not have.

Validated by: tests/calibration/test_probes.py
"""

from iosim.calibration.probes.registry import native

native(__name__, "aio_by_suspend", "posix_aio_read_roundtrip|aio_suspend", samples=400)
native(__name__, "aio_by_signal", "posix_aio_read_roundtrip|SIGEV_SIGNAL+sigwaitinfo", samples=400)
native(__name__, "aio_by_thread", "posix_aio_read_roundtrip|SIGEV_THREAD", samples=400)
