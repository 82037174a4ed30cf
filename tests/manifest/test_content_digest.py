"""The content digest.

It is the same for the same tensors, whatever their shards, order, metadata and the number of
threads. Any change of a bit, a name, a dtype or a shape changes it, as does an added or a missing
tensor.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from tests.support.checkpoints import INDEX, tensors, written

if TYPE_CHECKING:
    from tests.support.checkpoints import Tensors


ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"


def content(where: str, **options: Any) -> str:
    return api.manifest(where, **options).manifest.content


@given(
    tensors(least=2),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
    st.dictionaries(st.text("abc"), st.text("abc"), max_size=2),
)
def test_it_ignores_shards_order_metadata_and_threads(
    home: Path, contents: Tensors, random: Any, threads: int, metadata: dict[str, str]
) -> None:
    expected = content(written(home / "a", contents), threads=1)
    names = list(contents)
    random.shuffle(names)
    cut = random.randint(1, len(names) - 1) if len(names) > 1 else 1
    shards = [
        {name: contents[name] for name in part} for part in (names[:cut], names[cut:]) if part
    ]
    assert content(written(home / "b", *shards, metadata=metadata), threads=threads) == expected
    assert content(written(home / "b", *shards[::-1]), threads=threads, sha256=True) == expected


@given(tensors(), st.data())
def test_any_change_of_a_tensor_changes_it(
    home: Path, contents: Tensors, data: st.DataObject
) -> None:
    before = content(written(home / "c", contents))
    name = data.draw(st.sampled_from(sorted(contents)))
    dtype, shape, payload = contents[name]
    changes: list[Tensors] = [
        {f"{old}x" if old == name else old: tensor for old, tensor in contents.items()}
        if f"{name}x" not in contents
        else {},
        {
            **contents,
            name: (
                {
                    Dtype.BF16: Dtype.F16,
                    Dtype.F16: Dtype.BF16,
                    Dtype.U8: Dtype.BOOL,
                    Dtype.F32: Dtype.I32,
                }[dtype],
                shape,
                payload,
            ),
        },
        {**contents, name: (dtype, (*shape, 1), payload)},
        {old: tensor for old, tensor in contents.items() if old != name},
        {**contents, f"{name}.more": (Dtype.U8, (0,), b"")}
        if f"{name}.more" not in contents
        else {},
    ]
    if payload:
        bit = data.draw(st.integers(0, len(payload) * 8 - 1))
        flipped = bytearray(payload)
        flipped[bit // 8] ^= 1 << bit % 8
        changes.append({**contents, name: (dtype, shape, bytes(flipped))})
    assert all(content(written(home / "c", changed)) != before for changed in changes if changed)


def test_it_matches_its_documentation() -> None:
    """Computed again in ten lines with another reader."""
    from safetensors import safe_open  # noqa: PLC0415 - another reader, for this test alone

    path = FIXTURES / "language-model/model.safetensors"
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    lines = ["ckpt-tools content 1\n"]
    with safe_open(path, "np") as file:
        for name in sorted(file.keys()):
            entry = header[name]
            first, end = entry["data_offsets"]
            lines.append(
                json.dumps(
                    [
                        name,
                        entry["dtype"],
                        entry["shape"],
                        blake3(data[start + first : start + end]).hexdigest(),
                    ]
                )
                + "\n"
            )
    assert content(str(path.parent)) == blake3("".join(lines).encode()).hexdigest()


def test_it_never_changes_between_versions() -> None:
    """Existing manifests must stay valid.

    A change requires a new version of the format.
    """
    assert (
        content(str(FIXTURES / "normal"))
        == "08cd3d4af60fbaf3acb98a6ae583f5db79f4ca5fbb858d709c87cc3d9ea06dbb"
    )


@pytest.mark.parametrize("where", ["sharded", "normal/model.safetensors", f"sharded/{INDEX}"])
def test_it_ignores_where_the_tensors_are_stored(where: str) -> None:
    assert content(str(FIXTURES / where)) == content(str(FIXTURES / "normal"))


def test_it_ignores_shard_names(tmp_path: Path) -> None:
    expected = content(str(FIXTURES / "normal"))
    for number, path in enumerate(sorted((FIXTURES / "sharded").glob("model-*"))):
        shutil.copy(path, tmp_path / f"{'zyx'[number]}.safetensors")
    index = json.loads((FIXTURES / "sharded" / INDEX).read_text())
    names = {
        f"model-0000{number}-of-00003.safetensors": f"{'zyx'[number - 1]}.safetensors"
        for number in (1, 2, 3)
    }
    (tmp_path / INDEX).write_text(
        json.dumps(
            {"weight_map": {name: names[path] for name, path in index["weight_map"].items()}}
        )
    )
    assert content(str(tmp_path)) == expected
