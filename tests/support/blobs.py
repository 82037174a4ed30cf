"""Values of every dtype, decoded by ml_dtypes and numpy.

What the tool's own decoding is held against. And checkpoints made of them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from tests.support.cases import make

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ckpt_tools.checkpoint.model import Checkpoint

JUDGES = {
    Dtype.F4: ml_dtypes.float4_e2m1fn,
    Dtype.F6_E2M3: ml_dtypes.float6_e2m3fn,
    Dtype.F6_E3M2: ml_dtypes.float6_e3m2fn,
    Dtype.F8_E5M2: ml_dtypes.float8_e5m2,
    Dtype.F8_E4M3: ml_dtypes.float8_e4m3fn,
    Dtype.F8_E8M0: ml_dtypes.float8_e8m0fnu,
    Dtype.F8_E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
    Dtype.F8_E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
    Dtype.BF16: ml_dtypes.bfloat16,
}
NUMPY = {
    Dtype.F64: "<f8", Dtype.F32: "<f4", Dtype.F16: "<f2", Dtype.U8: "u1", Dtype.I8: "i1",
    Dtype.U16: "<u2", Dtype.I16: "<i2", Dtype.U32: "<u4", Dtype.I32: "<i4", Dtype.U64: "<u8",
    Dtype.I64: "<i8", Dtype.C64: "<f4",
}  # fmt: skip

type Array = np.ndarray[Any, Any]


def codes_of(data: bytes, bits: int) -> Array:
    """Return elements of fewer than 8 bits, packed from the low bit up, one a byte.

    By one large integer, which nobody gets wrong.
    """
    whole = int.from_bytes(data, "little")
    codes: Array = np.array(
        [whole >> bits * index & (1 << bits) - 1 for index in range(8 * len(data) // bits)], "u1"
    )
    return codes


@np.errstate(all="ignore")
def decoded(data: bytes, dtype: Dtype) -> Array:
    """Return values as numpy and ml_dtypes read them, as long doubles, which hold each exactly."""
    values: Array
    if dtype is Dtype.BOOL:
        values = np.frombuffer(data, "u1") != 0
    elif dtype in NUMPY:
        values = np.frombuffer(data, NUMPY[dtype])
    else:
        codes = (
            codes_of(data, dtype.bits)
            if dtype.bits < 8
            else np.frombuffer(data, f"<u{dtype.bits // 8}")
        )
        values = codes.view(JUDGES[dtype]).astype("f4")
    return values.astype(np.longdouble)


def elements(data: bytes, dtype: Dtype) -> int:
    return 8 * len(data) // dtype.bits


def written(folder: Path, tensors: Mapping[str, tuple[Dtype, bytes]]) -> Checkpoint:
    """Write a checkpoint of flat tensors and read its headers."""
    folder.mkdir(parents=True, exist_ok=True)
    make.write_safetensors(folder / "model.safetensors", blobs(tensors))
    return api.read(str(folder))


def sharded(folder: Path, tensors: Mapping[str, tuple[Dtype, bytes]], shards: int) -> Checkpoint:
    """Write the same as so many shards with their index."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"model-{number + 1:05}-of-{shards:05}.safetensors" for number in range(shards)]
    places = {name: names[place % shards] for place, name in enumerate(tensors)}
    for shard in names:
        make.write_safetensors(
            folder / shard,
            blobs({name: blob for name, blob in tensors.items() if places[name] == shard}),
        )
    index = {
        "metadata": {"total_size": sum(len(data) for _, data in tensors.values())},
        "weight_map": places,
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return api.read(str(folder))


def blobs(tensors: Mapping[str, tuple[Dtype, bytes]]) -> Any:
    return {
        name: make.Blob(dtype, (elements(data, dtype),), data)
        for name, (dtype, data) in tensors.items()
    }
