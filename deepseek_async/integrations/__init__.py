"""Beyond one process, and what watches it. Each takes an extra; nothing is imported here.

:mod:`~deepseek_async.integrations.dask` and :mod:`~deepseek_async.integrations.ray` run the shards
of a batch on clusters; :mod:`~deepseek_async.integrations.redis` shares one limit, and runs of
:mod:`deepseek_async.live`, between processes; :mod:`~deepseek_async.integrations.otel` makes
OpenTelemetry spans and metrics of calls.
"""
