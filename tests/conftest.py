"""What every test shares.

A Hypothesis profile that gives the same examples on every run, and Ctrl-C that is heard.
"""

from __future__ import annotations

import gc
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from pathlib import Path

# Deterministic, and without deadlines: machines are shared, and a slow moment is no failure.
settings.register_profile(
    "default", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")

# A shell that starts something in the background has it ignore Ctrl-C, and so do the processes that
# it starts; nohup does so with the end of the terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Exempt what was imported and collected from garbage collection: all of it stays to the end.

    Each full collection would look at millions of such objects.
    """
    gc.freeze()


pytest_plugins = ["tests.support.hub.fixtures", "tests.support.made"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the many examples of one test."""
    return tmp_path_factory.mktemp("home")
