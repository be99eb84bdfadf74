"""A plan as its JSON document: every load that was tried, and what they come to.

Scope: plain data without NaN or Infinity; loads in the plan's unit, times in ns.
Validated by: tests/studies/test_plan_study.py
"""

from typing import TYPE_CHECKING, Any

from iosim.metrics import describe
from iosim.slo import parse_slo
from iosim.studies.probing import Probe

if TYPE_CHECKING:
    from iosim.studies.planning import ModelPlan, Offer, Plan

SCHEMA_VERSION = 1

TOLD = (
    "response_time_mean_ns",
    "response_time_p50_ns",
    "response_time_p99_ns",
    "throughput_per_s",
    "error_fraction",
    "cpu_utilization",
    "cpu_utilization_busiest_thread",
    "cpu_time_per_request_ns",
    "memory_bytes",
)
"""Metrics of each load, besides those that objectives name."""


def document(plan: "Plan") -> dict[str, Any]:
    """The whole plan."""
    from iosim import __version__

    return {
        "plan_version": SCHEMA_VERSION,
        "iosim_version": __version__,
        "interrupted": plan.interrupted,
        "warnings": list(plan.warnings),
        "scenario": plan.scenario.to_data(),
        "scenario_sha256": plan.scenario.digest,
        "seed": plan.scenario.run.seed,
        "profile": plan.profile,
        "profile_sha256": plan.profile_digest,
        "slo": list(plan.objectives),
        "unit": plan.unit,
        "load": plan.load,
        "growth": plan.growth.text if plan.growth else None,
        "cost": plan.prices.text if plan.prices else None,
        "runs": plan.runs,
        "models": [_model(model, plan) for model in plan.models],
        "offers": [_offer(offer) for offer in plan.offers],
    }


def _model(model: "ModelPlan", plan: "Plan") -> dict[str, Any]:
    capacity = model.capacity
    carries, fails, limit = capacity.carries, capacity.fails, capacity.limit
    found: dict[str, Any] = {
        "label": model.label,
        "verdict": model.verdict,
        "carries": carries.load if carries else None,
        "fails_at": fails.load if fails else None,
        "headroom": capacity.headroom,
        "limit": dict(limit.to_data()) if limit else None,
        "probes": [_probe(probe, plan) for probe in capacity.probes],
    }
    if plan.growth is not None:
        found["lasts"] = {"periods": model.lasts, "period": plan.growth.period}
    if model.sizing is not None:
        found["settings"] = [
            {"setting": dict(tried.setting), **_probe(tried.probe, plan)}
            for tried in model.sizing.tried
        ]
        found["enough"] = [dict(tried.setting) for tried in model.sizing.enough]
    return found


def _probe(probe: Probe, plan: "Plan") -> dict[str, Any]:
    asked = [parse_slo(line).metric for line in plan.objectives]
    names = [name for name in dict.fromkeys((*asked, *TOLD)) if name in probe.metrics]
    return {
        "load": probe.load,
        "verdict": probe.verdict,
        "slo": dict(probe.verdicts),
        "slo_reasons": dict(probe.reasons),
        "warnings": list(probe.warnings),
        "error": probe.error,
        "replications": probe.replications,
        "duration_ns": probe.duration_ns,
        "metrics": {
            name: {
                "mean": estimate.mean,
                "ci95": [estimate.low, estimate.high],
                "n": estimate.n,
                "unit": describe(name).unit,
            }
            for name in names
            for estimate in [probe.metrics[name]]
        },
        "uses": [dict(use.to_data()) for use in probe.uses],
    }


def _offer(offer: "Offer") -> dict[str, Any]:
    return {
        "label": offer.label,
        "setting": dict(offer.setting),
        "machines": offer.machines,
        "cost": offer.cost,
    }
