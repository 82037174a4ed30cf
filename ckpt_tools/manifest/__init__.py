"""Content digests and manifests: building, checking, comparing."""
