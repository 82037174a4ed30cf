"""The nouns: frozen, slotted, keyword-only dataclasses that every room shares. No I/O, no numpy, no knowledge of any model family."""
