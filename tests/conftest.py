"""What holds for all tests."""

from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent

# They start browsers, clusters, servers and terminals, or simulate hours: minutes of it. CI runs
# them in a step of its own; `pytest -m slow` does it by hand.
SLOW = {
    "cli/test_terminal.py",
    "examples/test_docs.py",
    "examples/test_page.py",
    "examples/test_web_apps.py",
    "integrations/test_dask.py",
    "integrations/test_dask_command.py",
    "integrations/test_ray.py",
    "integrations/test_redis_limiter.py",
    "integrations/test_redis_log.py",
    "live/test_signals.py",
    "live/test_store.py",
    "simulator/test_record_plugin.py",
    "ui/test_browser.py",
    "ui/test_command.py",
    "ui/test_hostile.py",
    "unit/test_adaptive_simulations.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and item.path.relative_to(HERE).as_posix() in SLOW:
            item.add_marker("slow")


# No test fails for being slow: machines are shared, and coverage slows everything down.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
