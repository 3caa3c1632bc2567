"""What holds for all tests."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, settings

# These machines are shared: how long an example takes says nothing. Failures are told with what reproduces them.
settings.register_profile("keyferry", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("keyferry")


def pytest_configure(config: pytest.Config) -> None:
    """pytest-asyncio asks for a current event loop, and never closes the one that it gets if there is none."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    config.add_cleanup(loop.close)
