"""Codecs between bytes or text and the nouns: the safetensors header, the shard index, strict JSON. No I/O: they know no paths."""
