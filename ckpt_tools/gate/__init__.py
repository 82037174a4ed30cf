"""From findings to a verdict: settings, suppressions, masking."""
