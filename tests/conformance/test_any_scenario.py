"""What holds in every run holds for scenarios that nobody thought of, too."""

from collections import Counter
from typing import Any

from grounds import Seen, replies_kept
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from iosim.machine.request import ANSWERED, PARTS
from iosim.profile import load
from iosim.scenario import from_data
from iosim.simulation import run_once


def ns(most: int) -> st.SearchStrategy[Any]:
    """A distribution of durations of 1 to about `most` ns."""
    amounts = st.integers(1, most).map(lambda amount: f"{amount}ns")
    return st.one_of(
        amounts,
        amounts.map(lambda mean: {"exponential": mean}),
        amounts.map(lambda high: {"uniform": {"low": "0ns", "high": high}}),
    )


def kind(name: str, **options: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A choice with some of these options; `latency`, if there is one, in any case."""
    given = {key: options.pop(key) for key in ("latency",) if key in options}
    return st.fixed_dictionaries(given, optional=options).map(lambda chosen: {name: chosen})


MODEL = st.one_of(
    kind("blocking", own_work_thread=st.booleans()),
    st.sampled_from(["select", "poll"]),
    kind("epoll", trigger=st.sampled_from(["edge", "level"]), max_events=st.integers(1, 4)),
    kind("nonblocking", pause=st.sampled_from(["0s", "50us"])),
    kind("aio", notify=st.sampled_from(["signal", "thread"])),
    kind(
        "thread_pool_callbacks",
        threads=st.integers(1, 6),
        offload=st.sampled_from(["calls", "handler"]),
        max_events=st.integers(1, 4),
    ),
    kind("coroutine", max_events=st.integers(1, 4)),
)

STEP = st.one_of(
    ns(60_000).map(lambda amount: {"cpu": amount}),
    st.sampled_from(
        [
            {"call": "db"},
            {"call": "db", "on_error": "retry"},
            {"call": "driver"},
            {"call": "file"},
            {"call": "log"},
            {"call": "names"},
        ]
    ),
    ns(300_000).map(lambda amount: {"sleep": amount}),
)

IMPATIENCE = {
    "timeout": st.integers(20, 3_000).map(lambda us: f"{us}us"),
    "backlog": st.integers(1, 30),
}

WORKLOAD = st.integers(1, 40).flatmap(
    lambda total: st.one_of(
        st.fixed_dictionaries(
            {
                "rate": st.integers(500, 50_000).map(lambda rate: f"{rate}/s"),
                "arrivals": st.sampled_from(["poisson", "deterministic"]),
                "connections": st.just({"total": total}),
            },
            optional=IMPATIENCE,
        ).map(lambda options: {"open": options}),
        st.fixed_dictionaries(
            {
                "users": st.just(total),
                "think": ns(500_000),
                "connections": st.just({"total": total}),
            },
            optional=IMPATIENCE,
        ).map(lambda options: {"closed": options}),
    )
)

SCENARIO = st.fixed_dictionaries(
    {
        "machine": st.fixed_dictionaries(
            {
                "cores": st.integers(1, 4),
                "runtime": st.sampled_from(["native", "cpython"]),
                "scheduler": st.sampled_from(
                    [
                        "eevdf",
                        {"round_robin": {"slice": "50us"}},
                        {"eevdf": {"slice": "100us", "tick": "0s"}},
                    ]
                ),
                "network": st.one_of(
                    st.just("loopback"), ns(100_000).map(lambda way: {"nic": {"latency": way}})
                ),
            }
        ),
        "server": st.fixed_dictionaries(
            {"handler": st.lists(STEP, max_size=4)},
            optional={"own_work": st.integers(1, 200).map(lambda us: {"chunk": f"{us}us"})},
        ),
        "devices": st.fixed_dictionaries(
            {
                "db": kind(
                    "remote",
                    latency=ns(300_000),
                    concurrency=st.integers(1, 5),
                    error_rate=st.sampled_from(["0%", "30%"]),
                    errors=st.sampled_from(["late", "at once"]),
                    stalls=st.fixed_dictionaries(
                        {
                            "gap": st.integers(50, 1_000).map(lambda us: f"{us}us"),
                            "length": ns(500_000),
                        }
                    ),
                ),
                "driver": ns(100_000).map(
                    lambda way: {"remote": {"latency": way, "interface": "blocking"}}
                ),
                "file": kind(
                    "disk",
                    latency=ns(200_000),
                    page_cache_hit=st.sampled_from(["50%", "100%"]),
                    bandwidth=st.just("500MB/s"),
                    queue_depth=st.integers(1, 3),
                ),
                "log": st.tuples(ns(100_000), st.booleans()).map(
                    lambda how: {"disk": {"latency": how[0], "access": "write", "fsync": how[1]}}
                ),
                "names": kind(
                    "dns",
                    latency=ns(300_000),
                    cached=st.just("50%"),
                    loss=st.just("20%"),
                    timeout=st.just("500us"),
                ),
            }
        ),
        "workload": WORKLOAD,
        "models": st.lists(MODEL, min_size=1, max_size=1),
        "run": st.integers(1, 10**6).map(
            lambda seed: {"duration": "6ms", "warm_up": "none", "seed": seed}
        ),
    }
)


@settings(max_examples=60)
@given(data=SCENARIO, profile=st.sampled_from(["reference", "reference", "free"]))
def test_nothing_is_lost_and_everything_adds_up(data: Any, profile: str) -> None:
    # Where asking costs nothing there are too many asks, one a nanosecond.
    assume(profile != "free" or "nonblocking" not in data["models"][0])
    scenario = from_data(data)
    seen = Seen()
    with replies_kept() as replies:
        record = run_once(scenario, scenario.models[0], load(profile).costs, 0, trace=seen)

    fates = (record.completed, record.refused, record.timed_out, record.in_flight)
    assert sum(fates) == record.offered
    assert min(fates) >= 0
    delivered = Counter(number for number, _ in seen.deliveries)
    replied = Counter(number for number, _ in replies)
    assert set(delivered.values()) <= {1} and set(replied.values()) <= {1}
    assert replied.keys() <= delivered.keys()
    answered = [r for r in seen.delivered_requests.values() if r.state == ANSWERED]
    assert len(answered) == record.completed

    assert sum(record.parts_ns.values()) == record.responses.total_ns
    for request in record.requests:
        parts = [getattr(request, f"{part}_ns") for part in PARTS]
        assert sum(parts) == request.response_ns
        assert min(parts) >= 0
    timeout_ns = scenario.workload.options.timeout
    if timeout_ns is not None and record.completed:
        assert record.responses.max_ns is not None and record.responses.max_ns <= timeout_ns

    for core in record.cores_ns:
        assert sum(core.values()) == record.window_ns
        assert min(core.values()) >= 0
    busy_ns = sum(record.window_ns - core["idle"] - core["stolen"] for core in record.cores_ns)
    assert sum(thread.cpu_ns for thread in record.threads) <= busy_ns
    assert seen.backwards == 0
    for device in record.devices.values():
        assert device.busy_ns >= 0
        if device.concurrency is not None:
            assert device.busy_ns <= device.concurrency * record.window_ns
        assert device.queued_ns >= 0
