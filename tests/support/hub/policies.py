"""Two policies as repositories of a stand-in for the Hub, and what every refusal must be.

This process' client is led to that stand-in.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import close_session, constants

from ckpt_tools import errors

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
REPO, OTHER = "tester/policy", "tester/reflow"
NAME = f"hf://{REPO}"
CARD = (
    b"---\nlicense: apache-2.0\nlibrary_name: lerobot\npipeline_tag: robotics\n---\n\n# A policy\n"
)


def contents(folder: str | Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


NORMAL = contents(ROOT / "fixtures" / "normal") | {
    "README.md": CARD,
    ".gitattributes": b"*.safetensors filter=lfs\n",
}
REFLOW = contents(ROOT / "fixtures" / "reflow") | {
    "README.md": b"# other\n",
    ".gitattributes": b"*.safetensors filter=lfs\n",
}


def lead(monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
    """Say anew what the client read from the environment when it was imported."""
    for name, value in {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_PROGRESS_BARS": True,
        **settings,
    }.items():
        monkeypatch.setattr(constants, name, value)
    close_session()


def refusal(kind: type[errors.CkptError], job: Callable[[], object]) -> str:
    """Return the one line of the error, which must be exactly of this kind.

    It must say what to do next, and give away neither token nor signature.
    """
    with pytest.raises(errors.CkptError) as raised:
        job()
    line = str(raised.value)
    assert type(raised.value) is kind, line
    assert raised.value.next, line
    assert "Signature" not in line, line
    assert "hf_xxx" not in line, line
    return line
