"""`iosim.plan`: each kind of objective, what it hands back, and what it refuses."""

import json
from typing import Any

import pytest
from planned import scenario

import iosim
from iosim.errors import IosimError, UsageError
from iosim.studies import planning
from iosim.studies.planning import Plan

POOL = {"thread_pool": {"threads": 8, "label": "pool"}}


def planned(*models: Any, slo: Any = None, **how: Any) -> Plan:
    """Coarse and quick: 40 ms runs."""
    parts = {
        key: how.pop(key) for key in ("server", "workload", "machine", "devices") if key in how
    }
    made = scenario(*models, run={"duration": "40ms", "replications": 3}, **parts)
    return planning.plan(made, slo, **{"jobs": 1, "budget": 5, "resolution": 0.2, **how})


CLASSES = {
    "classes": {
        "page": {"weight": 9, "handler": [{"cpu": "10us"}]},
        "report": {"handler": [{"cpu": "50us"}]},
    }
}


class TestObjectives:
    @pytest.mark.parametrize(
        ("line", "metric", "limit"),
        [
            ("p97.5 < 500us", "response_time_p97_5_ns", 500_000),
            ("mean < 200us", "response_time_mean_ns", 200_000),
            ("errors < 1%", "error_fraction", 0.01),
            ("utilization < 50%", "cpu_utilization", 0.5),
            ("context_switches_per_s < 7k/s", "context_switches_per_s", 7_000),
            ("cpu_idle_fraction > 60%", "cpu_idle_fraction", 0.6),
        ],
    )
    def test_each_kind_holds_at_the_highest_load_and_not_above(
        self, line: str, metric: str, limit: float
    ) -> None:
        workload = {
            "open": {"rate": "2k/s", "timeout": "1ms", "connections": {"total": 50}},
        }
        (model,) = planned(slo=line, workload=workload).models
        carries, above = model.capacity.carries, model.capacity.probes[-1]
        assert carries is not None
        assert carries.verdicts[line] == "pass"
        value = carries.metrics[metric].mean
        assert value is not None
        assert value > limit if ">" in line else value < limit
        assert above.load > carries.load
        assert above.verdict != "pass"

    def test_those_of_a_device_and_of_a_class(self) -> None:
        call = {
            "server": {"handler": [{"call": "db"}]},
            "devices": {"db": {"remote": {"latency": "500us", "concurrency": 8}}},
        }
        (model,) = planned(slo="device_db_utilization < 30%", **call).models
        assert model.capacity.carries is not None and model.capacity.limit is not None
        assert model.capacity.carries.load == pytest.approx(4_800, rel=0.25)
        assert model.capacity.limit.name == "device db"
        (model,) = planned(slo="class_report_response_time_p50_ns < 200us", server=CLASSES).models
        assert model.capacity.carries is not None

    def test_all_of_several_must_hold(self) -> None:
        alone = planned(slo="p50 < 1ms").models[0].capacity.carries
        both = planned(slo=["p50 < 1ms", "utilization < 30%"]).models[0].capacity.carries
        assert alone is not None and both is not None
        assert both.load < alone.load / 2

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("troughput > 1k/s", "did you mean 'throughput'?"),
            ("p999 < 1ms", "did you mean 'p99.9'?"),
            ("p99 < 5", "p99 < 5"),
            ("device_db_utilization < 50%", "a metric of a device of this scenario (none)"),
            ("class_x_completed > 5", "a metric of a class of this scenario (none)"),
        ],
    )
    def test_what_there_is_not(self, line: str, told: str) -> None:
        with pytest.raises(UsageError) as caught:
            planned(slo=["p50 < 1ms", line])
        assert told in str(caught.value)

    def test_all_mistakes_at_once(self) -> None:
        with pytest.raises(UsageError) as caught:
            planned(slo=["throughputt > 1k/s", "p50 < fast"])
        assert len(str(caught.value).splitlines()) == 2

    def test_there_has_to_be_one(self) -> None:
        with pytest.raises(UsageError, match="a plan needs an objective: --slo"):
            planned(slo=[])


class TestPlan:
    def test_it_is_public(self) -> None:
        assert iosim.plan is planning.plan
        assert iosim.Plan is Plan

    def test_the_same_for_any_number_of_processes(self) -> None:
        documents = [
            planned(
                POOL, jobs=jobs, budget=3, resolution=0.5, over=["models.pool.threads=1,8"]
            ).to_document()
            for jobs in (1, 2)
        ]
        assert documents[0] == documents[1]

    def test_its_document_is_plain_json_of_all_that_was_tried(self) -> None:
        made = planned(
            "epoll",
            POOL,
            over="models.pool.threads=2..8",
            growth="10%/month",
            cost="core=25/month,GiB=3/month",
        )
        document = json.loads(json.dumps(made.to_document(), allow_nan=False))
        epoll, pool = document["models"]
        assert (document["unit"], document["load"], epoll["verdict"]) == ("requests/s", 2e3, "pass")
        assert epoll["carries"] == made["epoll"].capacity.carries.load  # type: ignore[union-attr]
        assert epoll["headroom"] == pytest.approx(epoll["carries"] / 2e3 - 1)
        loads = [probe["load"] for probe in epoll["probes"]]
        assert loads == sorted(loads)
        assert 2e3 in loads
        assert epoll["lasts"]["periods"] > 0
        assert "settings" not in epoll
        assert pool["enough"] == [{"models.pool.threads": "2"}]
        tried = sum(probe["replications"] for m in (epoll, pool) for probe in m["probes"])
        assert document["runs"] >= tried

    def test_the_cheapest_comes_first(self) -> None:
        made = planned("epoll", POOL, cost="core=25/month,GiB=3/month", over="machine.cores=1..2")
        costs = [offer.cost for offer in made.offers]
        assert costs == sorted(costs)
        assert len(costs) == 4
        memory = made["epoll"].capacity.today.metrics["memory_bytes"].mean
        assert memory is not None
        assert min(costs) == pytest.approx(25 + 3 * memory / 2**30)

    def test_a_load_that_is_too_much_needs_several_machines(self) -> None:
        workload = {"open": {"rate": "30k/s", "connections": {"total": 50}}}
        made = planned(workload=workload, cost="core=10/month", growth="10%/month")
        (model,), (offer,) = made.models, made.offers
        carries = model.capacity.carries
        assert carries is not None
        assert (model.verdict, model.lasts) == ("fail", 0.0)
        assert (offer.machines - 1) * carries.load < 30_000 <= offer.machines * carries.load
        assert offer.cost == 10 * offer.machines

    def test_interrupted_it_hands_back_what_was_finished(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = planning.together

        def interrupted(*how: Any) -> Any:
            yield next(real(*how))
            raise KeyboardInterrupt

        monkeypatch.setattr(planning, "together", interrupted)
        made = planned("epoll", "blocking")
        assert made.interrupted
        assert len(made.models) == 1

    def test_a_short_run_is_warned_of(self) -> None:
        assert "run.duration 40ms is short for an objective of 5.00 ms" in "".join(
            planned(slo="p50 < 5ms").warnings
        )
        assert planned(slo="p50 < 1ms").warnings == ()

    @pytest.mark.parametrize(
        ("how", "told"),
        [
            ({"jobs": 0}, "jobs: expected at least 1"),
            ({"budget": 2}, "budget: expected at least 3"),
            ({"resolution": 0.0}, "resolution: expected a ratio"),
            ({"over": "workload.open.rate=1k/s,2k/s"}, "something else than the load"),
            ({"over": "models.0.label=a,b"}, "keeps the models"),
            ({"growth": "fast"}, "--growth fast"),
            ({"cost": "disk=3/month"}, "--cost disk"),
        ],
    )
    def test_what_it_refuses(self, how: dict[str, Any], told: str) -> None:
        with pytest.raises(IosimError) as caught:
            planned(**how)
        assert told in str(caught.value)
