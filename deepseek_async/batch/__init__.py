"""Batches: many requests, as many at once as the server takes, each answered once.

``client.batch(...)`` makes a :class:`BatchJob`. Its results file is the journal: the same call
made again goes on where an earlier one ended.
"""

from deepseek_async.batch.job import BatchJob
from deepseek_async.batch.leases import LeaseLimiter, Leases, LeaseTable, Stats
from deepseek_async.batch.merge_report import MergeReport
from deepseek_async.batch.merging import merge_shards
from deepseek_async.batch.records import BatchRequest
from deepseek_async.batch.report import BatchItem, BatchProgress, BatchReport
from deepseek_async.batch.results import BatchResult, read_results
from deepseek_async.batch.shard import ShardSettings, run_shard
from deepseek_async.batch.shard_parts import ShardPart, split_requests
from deepseek_async.batch.shard_report import ShardReport
from deepseek_async.policy.adaptive import AdaptiveLimit, Outcome
from deepseek_async.types.batch import BatchSample, Budget

__all__ = [
    "AdaptiveLimit",
    "BatchItem",
    "BatchJob",
    "BatchProgress",
    "BatchReport",
    "BatchRequest",
    "BatchResult",
    "BatchSample",
    "Budget",
    "LeaseLimiter",
    "LeaseTable",
    "Leases",
    "MergeReport",
    "Outcome",
    "ShardPart",
    "ShardReport",
    "ShardSettings",
    "Stats",
    "merge_shards",
    "read_results",
    "run_shard",
    "split_requests",
]
