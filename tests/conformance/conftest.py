"""The order of the conformance tests."""

import pytest
from grounds import Case


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of a case one after the other: its run is kept for them, once in each process."""
    places = [place for place, item in enumerate(items) if _case(item) is not None]
    rank: dict[Case, int] = {}
    ordered = sorted(
        (items[place] for place in places), key=lambda item: rank.setdefault(_case(item), len(rank))
    )
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _case(item: pytest.Item) -> Case | None:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return next((one for one in parameters.values() if isinstance(one, Case)), None)
