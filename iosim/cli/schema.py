"""`iosim schema`: the scenario's JSON Schema, for editors."""

from iosim.cli.frame import command
from iosim.cli.output import say


@command(examples=["iosim schema > iosim.schema.json"])
def schema() -> int:
    """Print the JSON Schema of scenarios, for editors."""
    from json import dumps

    from iosim.scenario import Scenario

    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Scenario.model_json_schema(),
    }
    say(dumps(described, indent=2, ensure_ascii=False))
    return 0
