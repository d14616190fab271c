"""What the tests of clusters send, and what they look at."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from deepseek_async.batch import ShardSettings, read_results
from deepseek_async.simulator import Reply, SimulatorThread

# Only a hang gets here.
GUARD = 60.0


def item(name: str, **body: Any) -> dict[str, Any]:
    """Return one item."""
    return {
        "custom_id": name,
        "body": {
            "messages": [{"role": "user", "content": f"Say {name}."}],
            "thinking": {"type": "disabled"},
            "max_tokens": 8,
            **body,
        },
    }


def items(shard: object, count: int) -> list[dict[str, Any]]:
    """Return the items of a shard."""
    return [item(f"{shard}-{number}") for number in range(count)]


def write_items(path: Path, count: int) -> Path:
    """Write items to a file."""
    path.write_text("".join(f"{json.dumps(each)}\n" for each in items("item", count)))
    return path


def settings_for(sim: SimulatorThread, **options: Any) -> ShardSettings:
    """Return settings that fit a simulator."""
    fitting: dict[str, Any] = {
        "api_key": "sk-simulated",
        "base_url": sim.base_url,
        "dialect": "deepseek",
        "model": "deepseek-flash",
        "trust_env": False,
    }
    return ShardSettings(**{**fitting, **options})


def unpaid() -> Reply:
    """Return the reply of an empty account."""
    body = {"error": {"message": "Insufficient Balance"}}
    return Reply(status=402, body=body, times="forever")


def asked(sim: SimulatorThread) -> Counter[str]:
    """Return how many times each item was sent."""
    return Counter(
        request.body["messages"][-1]["content"][4:-1]
        for request in sim.requests
        if request.body is not None
    )


def sent_again(sim: SimulatorThread) -> int:
    """Return how many requests were for an item that had been sent before."""
    return sum(asked(sim).values()) - len(asked(sim))


def answered(out_dir: Path, shards: int) -> Counter[str]:
    """Return how many results each item has in the files of all shards."""
    found: Counter[str] = Counter()
    for shard in range(shards):
        path = out_dir / f"{shard}.jsonl"
        if path.exists():
            found.update(result.custom_id for result in read_results(path))
    return found
