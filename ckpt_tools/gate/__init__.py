"""Settings, suppressions, masking of secrets, and the verdict."""
