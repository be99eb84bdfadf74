"""Points on a Dask cluster: the same numbers to the bit, or a refusal to start."""

import os
import platform
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal
from small_sweeps import written

import iosim
from iosim.errors import IosimError, UsageError
from iosim.studies import cluster as places
from iosim.studies.swept import Standing

distributed = pytest.importorskip("distributed")

# What Dask warns of when it ends is not ours.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as started:
        yield started


def test_a_cluster_gives_the_bits_of_local_processes_though_a_worker_is_killed(
    cluster: Any, tmp_path: Path
) -> None:
    with distributed.Client(cluster, set_as_default=False) as client:
        pids = list(client.run(os.getpid).values())

    def progress(now: Standing) -> None:
        if now.done == 2:
            os.kill(pids[0], signal.SIGKILL)

    over = ["workload.open.rate=2k/s..8k/s:linear 4", "machine.cores=1,0"]
    scenario = written(tmp_path)
    there = iosim.sweep(scenario, over, dask=cluster.scheduler_address, progress=progress)
    here = iosim.sweep(scenario, over, jobs=1)
    assert there.standing == here.standing == Standing(done=8, failed=4, kept=0, left=0)
    assert_frame_equal(there.table, here.table, check_exact=True)


def test_a_cluster_that_goes_away_leaves_what_has_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "PATIENCE_S", 0.5)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=50
    ) as leaving:
        scenario, over = written(tmp_path), "workload.open.rate=2k/s..9k/s:linear 8"
        with pytest.raises(IosimError, match="the cluster has gone; what has finished is kept"):
            iosim.sweep(
                scenario,
                over,
                dask=leaving.scheduler_address,
                folder=tmp_path / "out",
                progress=lambda now: leaving.close() if now.done == 2 else None,
            )
    again = iosim.sweep(scenario, over, jobs=1, folder=tmp_path / "out")
    assert again.standing == Standing(done=6, failed=0, kept=2, left=0)


def test_workers_of_another_python_are_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = platform.python_version()
    monkeypatch.setattr(platform, "python_version", lambda: "2.7")
    with pytest.raises(UsageError, match=rf"expected python 2.7 on worker \S+, found {found}"):
        iosim.sweep(written(tmp_path), "machine.cores=1", dask=cluster.scheduler_address)


def test_where_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PATIENCE_S", 0.2)
    for address in ("tcp://127.0.0.1:1", "nonsense://", "127.0.0.1:notaport"):
        with pytest.raises(UsageError, match=f"--dask {address}: no scheduler there"):
            iosim.sweep(written(tmp_path), "machine.cores=1", dask=address)
