"""Points on a Dask cluster: the same tasks as on local processes, through Dask's executor.

Needs the extra `dask`. A worker must have this version of iosim, of Python and of what numbers
depend on, which is asked before the first point; and, if the scenario names files, the same
files under the same path, as on a shared file system. Tasks compute: workers should have one
thread each (`dask worker --nthreads 1`).

Scope: a few points a thread are handed over at a time, so that any number of them takes no memory.
Dask tries a point elsewhere if its worker dies, three times; then it is lost.
Validated by: tests/studies/test_cluster.py
"""

import platform
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from importlib.metadata import version
from itertools import islice
from typing import Any

from iosim.errors import IosimError, UsageError
from iosim.studies.points import Point
from iosim.studies.running import Outcome, attempt, lost

POINTS_A_THREAD = 2
"""One that is worked on, and one that waits."""
PATIENCE_S = 10


class Cluster:
    """The workers of a Dask scheduler."""

    def __init__(self, address: str) -> None:
        """Connect. Raises UsageError if nobody answers, or workers differ from this process."""
        try:
            import distributed
        except ImportError:
            raise UsageError(
                "--dask: expected Dask to be installed, found none: pip install 'iosim[dask]'"
            ) from None
        self._address = address
        try:
            connect: Any = distributed.Client  # which has no types
            self._client = connect(address, timeout=PATIENCE_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(f"--dask {address}: no scheduler there: {error}") from None
        try:
            self._require_same()
        except BaseException:
            self._client.close()
            raise

    def run(self, points: Iterable[Point]) -> Iterator[tuple[Point, Outcome]]:
        """Each point with its outcome, in any order; `points` are taken as there is room."""
        from distributed.scheduler import KilledWorker

        executor = self._client.get_executor(pure=False)
        waiting = iter(points)
        under_way: dict[Future[Outcome], Point] = {}
        while True:
            room = POINTS_A_THREAD * self._threads() - len(under_way)
            for point in islice(waiting, max(room, 0)):
                under_way[executor.submit(attempt, point)] = point
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                point = under_way.pop(future)
                try:
                    outcome = future.result()
                except KilledWorker:
                    outcome = lost("the Dask workers that it was given to have ended")
                except CancelledError:
                    raise self._gone() from None
                except Exception as error:  # not the point's doing: `attempt` raises none
                    outcome = lost(f"its Dask worker could not run it: {error!r}")
                yield point, outcome

    def close(self) -> None:
        """Give up what is not finished; the cluster stays."""
        self._client.close()

    def _threads(self) -> int:
        """How many points can be worked on at once; while workers come and go, one at least."""
        try:
            threads: dict[str, int] = self._client.nthreads()
        except OSError:
            raise self._gone() from None
        return max(sum(threads.values()), 1)

    def _gone(self) -> IosimError:
        return IosimError(
            f"--dask {self._address}: the cluster has gone; what has finished is kept"
        )

    def _require_same(self) -> None:
        here = versions()
        try:
            elsewhere: dict[str, dict[str, str]] = self._client.run(versions)
        except ImportError as error:
            raise UsageError(
                f"--dask {self._address}: expected iosim on every worker: {error}"
            ) from None
        if not elsewhere:
            raise UsageError(f"--dask {self._address}: expected a worker, found none")
        wrong = [
            f"--dask {self._address}: expected {name} {here[name]} on worker {worker}, found "
            f"{found}"
            for worker, there in elsewhere.items()
            for name, found in there.items()
            if found != here[name]
        ]
        if wrong:
            raise UsageError("\n".join(wrong))


def versions() -> dict[str, str]:
    """What numbers depend on besides a point."""
    from iosim import __version__

    return {
        "iosim": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("simpy", "numpy")},
    }
