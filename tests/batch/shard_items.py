"""What the tests of shards send, and what they look at."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from deepseek_async.batch.shard import ShardSettings
from deepseek_async.simulator import Reply, Simulator


def ids(shard: object, count: int) -> set[str]:
    """Return the names of the items of a shard."""
    return {f"{shard}-{number}" for number in range(count)}


def items(shard: object, count: int) -> list[dict[str, Any]]:
    """Return the items of a shard."""
    return [item(f"{shard}-{number}") for number in range(count)]


def item(name: str, text: str | None = None) -> dict[str, Any]:
    """Return one item; without a text its request is unlike any other."""
    return {
        "custom_id": name,
        "body": {
            "messages": [{"role": "user", "content": f"Say {text or name}."}],
            "thinking": {"type": "disabled"},
            "max_tokens": 8,
        },
    }


def refuse(name: str) -> Reply:
    """Return a reply that fails an item for good."""
    return Reply(
        status=400, body={"error": {"message": "no"}}, match=f"Say {name}.", times="forever"
    )


def settings_for(sim: Simulator, **options: Any) -> ShardSettings:
    """Return settings that fit a simulator."""
    fitting: dict[str, Any] = {
        "api_key": "sk-simulated",
        "base_url": sim.base_url,
        "dialect": "deepseek",
        "model": "deepseek-flash",
    }
    return ShardSettings(**{**fitting, **options})


def names_in(path: Path) -> list[str]:
    """Return the names in the whole lines of a file; none if it isn't there."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return [json.loads(line)["custom_id"] for line in lines if line.endswith(b"\n")]


def asked(sim: Simulator) -> Counter[str]:
    """Return how many times each item was sent."""
    return Counter(
        request.body["messages"][-1]["content"][4:-1]
        for request in sim.requests
        if request.body is not None
    )
