"""Same seed, same record: in this process, in others, however many work at it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from grounds import CASES, Case, plain, some_cases, untraced, untraced_once

from iosim.profile import load
from iosim.scenario import from_data
from iosim.simulation import simulate

ROOT = Path(__file__).parents[2]


@some_cases(every=4)
def test_a_seed_gives_the_same_record_again(case: Case) -> None:
    assert plain(untraced(case)) == untraced_once(case)


@some_cases(every=5)
def test_another_replication_gives_another_record(case: Case) -> None:
    first, second = dict(untraced_once(case)), plain(untraced(case, 1))
    del first["replication"], second["replication"]
    if case.model == "coroutines" and case.situation == "pair":
        return  # its demands are all that is random, and they do not change the counts
    assert first != second


SCENARIO = {
    "machine": {"cores": 2, "network": {"nic": {"latency": {"exponential": "50us"}}}},
    "server": {
        "handler": [{"cpu": {"exponential": "20us"}}, {"call": "db"}, {"sleep": "50us"}],
        "own_work": {"chunk": "50us"},
    },
    "devices": {"db": {"remote": {"latency": {"exponential": "200us"}}}},
    "workload": {"open": {"rate": "10k/s", "timeout": "5ms", "connections": {"total": 20}}},
    "models": ["blocking", "epoll", "aio", "thread_pool_callbacks", "coroutine"],
    "run": {"duration": "20ms", "replications": 2, "seed": 11},
}

PROGRAM = """
import json, sys
from iosim.scenario import from_data
from iosim.simulation import simulate
if __name__ == "__main__":
    scenario = from_data(json.loads(sys.argv[1]))
    json.dump(simulate(scenario, jobs=int(sys.argv[2])).to_document(), sys.stdout, sort_keys=True)
"""


@pytest.fixture(scope="module")
def here() -> str:
    document = simulate(from_data(SCENARIO), load("reference")).to_document()
    return json.dumps(document, sort_keys=True)


@pytest.mark.parametrize(("hash_seed", "jobs"), [("0", 1), ("1", 2), ("4242", 3)])
def test_another_process_gives_the_same_document(
    hash_seed: str, jobs: int, here: str, tmp_path: Path
) -> None:
    # A program of its own, because workers are spawned and begin by importing it.
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program), json.dumps(SCENARIO), str(jobs)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == here


def test_a_model_gives_the_same_record_whatever_other_models_are_run() -> None:
    alone = {
        **SCENARIO,
        "models": ["coroutine"],
    }
    together = simulate(from_data(SCENARIO))["coroutine"]
    by_itself = simulate(from_data(alone))["coroutine"]
    assert [plain(r) for r in together.records] == [plain(r) for r in by_itself.records]


def test_replications_do_not_depend_on_how_many_there_are() -> None:
    few = simulate(from_data({**SCENARIO, "run": {**SCENARIO["run"], "warm_up": "none"}}))  # type: ignore[dict-item]
    more = simulate(
        from_data(
            {**SCENARIO, "run": {**SCENARIO["run"], "warm_up": "none", "replications": 3}}  # type: ignore[dict-item]
        )
    )
    for one, other in zip(few.models, more.models, strict=True):
        assert [plain(r) for r in one.records] == [plain(r) for r in other.records[:2]]


def test_every_model_is_among_the_cases() -> None:
    from iosim.plugins import kinds

    assert {case.model for case in CASES} == set(kinds("io_models"))
