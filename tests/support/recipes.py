"""Recipe operations that are accepted, and how a test reads a recipe or its rejection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.edit import operations as nouns
from ckpt_tools.edit.recipe import operations
from ckpt_tools.errors import RecipeInvalid
from ckpt_tools.storage import schemas

if TYPE_CHECKING:
    from ckpt_tools.edit.operations import Operation


VALIDATOR = jsonschema.Draft202012Validator(schemas.load("recipe"))
ACCEPTED: tuple[tuple[Any, Operation], ...] = (
    ({"drop": ["teacher.**"]}, nouns.Drop(("teacher.**",))),
    ({"drop": ["teacher.**"], "if-any": True}, nouns.Drop(("teacher.**",), if_any=True)),
    ({"keep": ["model.**", "a?"]}, nouns.Keep(("model.**", "a?"))),
    (
        {"rename": {"match": "teacher.model.**", "to": "model.**"}},
        nouns.RenameTensors("teacher.model.**", "model.**"),
    ),
    (
        {"rename": {"match": "a(.*)", "to": "\\1", "regex": True, "if-free": True}},
        nouns.RenameTensors("a(.*)", "\\1", regex=True, if_free=True),
    ),
    ({"rename": {"match": "(", "to": ""}}, nouns.RenameTensors("(", "")),
    ({"unwrap": True}, nouns.Unwrap()),
    ({"cast": {"dtype": "BF16"}}, nouns.Cast(Dtype.BF16)),
    (
        {
            "cast": {
                "dtype": "F8_E4M3",
                "select": ["a"],
                "lossy": True,
                "skip": True,
                "infinite": True,
            }
        },
        nouns.Cast(Dtype.F8_E4M3, ("a",), lossy=True, skip=True, infinite=True),
    ),
    (
        {"take": {"source": "../other", "select": ["model.lm_head.**"]}},
        nouns.Take("../other", ("model.lm_head.**",)),
    ),
    ({"take": {"source": "/absolute"}}, nouns.Take("/absolute")),
    (
        {"set": {"file": "config.json", "pointer": "/load_vlm_weights", "value": True}},
        nouns.SetValue("config.json", "/load_vlm_weights", value=True),
    ),
    (
        {"set": {"file": "a/b.json", "pointer": "", "value": {"a": [None, 1.5]}}},
        nouns.SetValue("a/b.json", "", {"a": [None, 1.5]}),
    ),
    (
        {"unset": {"file": "config.json", "pointer": "/a~1b/~0"}},
        nouns.UnsetValue("config.json", "/a~1b/~0"),
    ),
    (
        {"rename-key": {"file": "config.json", "pointer": "/a", "to": "b"}},
        nouns.RenameKey("config.json", "/a", "b"),
    ),
    ({"metadata": {"key": "format", "value": "pt"}}, nouns.SetMetadata("format", "pt")),
    ({"metadata": {"key": "format", "value": None}}, nouns.SetMetadata("format", None)),
    ({"reshard": {"max-size": "5GB"}}, nouns.Reshard(5 * 10**9)),
    ({"reshard": {"max-size": "1 GiB"}}, nouns.Reshard(2**30)),
    ({"reshard": {"max-size": 1000.0}}, nouns.Reshard(1000)),
    ({"reshard": {"max-size": 1}}, nouns.Reshard(1)),
    ({"merge": True}, nouns.Merge()),
    ({"drop-files": ["*.bin"]}, nouns.DropFile(("*.bin",))),
    (
        {"copy-file": {"source": "README.md", "path": "docs/README.md"}},
        nouns.CopyFile("README.md", "docs/README.md"),
    ),
)


def recipe(*listed: Any) -> dict[str, Any]:
    return {"operations": list(listed)}


def refusal(value: Any) -> str:
    """Return the words with which a recipe is refused.

    One printable line that says what to do next.
    """
    with pytest.raises(RecipeInvalid) as refused:
        operations(value)
    assert refused.value.subject
    assert refused.value.next
    assert str(refused.value).isprintable()
    return str(refused.value)
