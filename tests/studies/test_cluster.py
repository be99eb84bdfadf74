"""Points on a Dask cluster: the same numbers to the bit, or a refusal to start."""

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal
from small_sweeps import written

import iosim
from iosim.errors import UsageError

distributed = pytest.importorskip("distributed")

# What Dask warns of when it ends is not ours.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as started:
        yield started


def test_a_cluster_gives_the_bits_of_local_processes(cluster: Any, tmp_path: Path) -> None:
    over = ["workload.open.rate=2k/s..8k/s:linear 4", "machine.cores=1,0"]
    scenario = written(tmp_path)
    there = iosim.sweep(scenario, over, dask=cluster.scheduler_address)
    here = iosim.sweep(scenario, over, jobs=1)
    assert there.standing == here.standing
    assert there.standing.failed == 4
    assert_frame_equal(there.table, here.table, check_exact=True)


def test_workers_of_another_python_are_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = platform.python_version()
    monkeypatch.setattr(platform, "python_version", lambda: "2.7")
    with pytest.raises(UsageError, match=rf"expected python 2.7 on worker \S+, found {found}"):
        iosim.sweep(written(tmp_path), "machine.cores=1", dask=cluster.scheduler_address)


def test_where_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from iosim.studies import cluster

    monkeypatch.setattr(cluster, "PATIENCE_S", 0.2)
    for address in ("tcp://127.0.0.1:1", "nonsense://", "127.0.0.1:notaport"):
        with pytest.raises(UsageError, match=f"--dask {address}: no scheduler there"):
            iosim.sweep(written(tmp_path), "machine.cores=1", dask=address)
