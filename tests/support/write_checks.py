"""What tests of a writer hold again and again: an error of one line, a folder that did not change.

And a system call that fails.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.write_faults import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ckpt_tools import errors


def refusal[T: errors.CkptError](kind: type[T], do: Callable[[], object]) -> str:
    with pytest.raises(kind) as raised:
        do()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Assert that the block changes nothing in the folder."""
    before = snapshot(folder)
    yield
    assert snapshot(folder) == before


def fail(number: int) -> int:
    raise OSError(number, os.strerror(number))
