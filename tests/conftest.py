"""What every test shares: a Hypothesis profile that gives the same examples on every run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Deterministic, and without deadlines: machines are shared, and a slow moment is no failure.
settings.register_profile("default", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")
