"""What every test shares: a Hypothesis profile that gives the same examples on every run, and Ctrl-C that is heard."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# Deterministic, and without deadlines: machines are shared, and a slow moment is no failure.
settings.register_profile("default", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")

# A shell that starts something in the background has it ignore Ctrl-C, and so do the processes that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
