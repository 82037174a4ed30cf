"""The laws of surgery, under random checkpoints and random sequences of operations.

read(apply(plan(c, ops))) == plan(c, ops).after; what no operation names keeps its bits; the same
plan gives the same bytes; a rename and its inverse are nothing.
"""

from __future__ import annotations

import json
import shutil
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.edit.operations import (
    Cast,
    CopyFile,
    Drop,
    DropFile,
    Keep,
    Merge,
    RenameKey,
    RenameTensors,
    Reshard,
    SetMetadata,
    SetValue,
    Take,
    UnsetValue,
    Unwrap,
)  # fmt: skip
from ckpt_tools.errors import EditRefused, NothingLeft
from tests.support.dirt import make

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.edit.operations import Operation

segments = st.sampled_from(["a", "b", "module", "layers", "0", "1", "10", "teacher", "weight"])
names = st.lists(segments, min_size=1, max_size=4).map(".".join)
shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
dtypes = st.sampled_from([Dtype.F32, Dtype.BF16, Dtype.F16])
tensors = st.dictionaries(names, st.tuples(dtypes, shapes), min_size=1, max_size=8)
globs = st.sampled_from(["**", "a.**", "**.weight", "*.0", "layers.*.**", "teacher.**", "b", "*"])
metadata = st.none() | st.dictionaries(
    st.sampled_from(["format", "note"]), st.sampled_from(["pt", "x"]), max_size=2
)
values = st.sampled_from([True, None, 1, 0.5, "text", [1, 2], {"k": "v"}])
pointers = st.sampled_from(["/type", "/new", "/nested/deep", "/nested/other", "/list/0", "/list/-"])


def payloads(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The bytes of every tensor."""
    found: dict[str, bytes] = {}
    for file in checkpoint.weights:
        data = (Path(checkpoint.root) / file.path).read_bytes()
        found |= {
            tensor.name: data[file.payload_start + tensor.start : file.payload_start + tensor.end]
            for tensor in file.tensors
        }
    return found


def blob(name: str, dtype: Dtype, shape: tuple[int, ...]) -> object:
    """Numbers that BF16 and F16 hold exactly, so that casts among the three can lose nothing."""
    count = 1
    for dimension in shape:
        count *= dimension
    numbers = [float((len(name) + index) % 7 - 3) for index in range(count)]
    if dtype is Dtype.BF16:
        return make.Blob(
            dtype, shape, b"".join(struct.pack("<f", number)[2:] for number in numbers)
        )
    return make.Blob(
        dtype, shape, struct.pack(f"<{count}{'f' if dtype is Dtype.F32 else 'e'}", *numbers)
    )


def write(
    folder: Path,
    held: dict[str, tuple[Dtype, tuple[int, ...]]],
    notes: dict[str, str] | None,
    shards: int,
) -> None:
    """A checkpoint of these tensors, a config, a README and a subfolder."""
    folder.mkdir(parents=True)
    blobs = {name: blob(name, *kind) for name, kind in held.items()}
    ordered = sorted(blobs)
    count = min(shards, len(ordered))
    if count == 1:
        make.write_safetensors(folder / "model.safetensors", blobs, notes)
    else:
        files = [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
        groups = {file: ordered[position::count] for position, file in enumerate(files)}
        for file, group in groups.items():
            make.write_safetensors(folder / file, {name: blobs[name] for name in group}, notes)
        index = {
            "metadata": {},
            "weight_map": {name: file for file, group in groups.items() for name in group},
        }
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(
        json.dumps({"type": "toy", "nested": {"deep": 1}, "list": [1, 2]}, indent=2)
    )
    (folder / "README.md").write_text("# A toy\n")
    (folder / "extra").mkdir()
    (folder / "extra/notes.txt").write_text("kept")


class Surgery(RuleBasedStateMachine):
    """One checkpoint, operated on again and again; after every operation the laws hold."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.count = 0
        self.folder = self.home / "0"

    def teardown(self) -> None:
        shutil.rmtree(self.home)

    @initialize(held=tensors, notes=metadata, shards=st.integers(1, 3))
    def begin(
        self,
        held: dict[str, tuple[Dtype, tuple[int, ...]]],
        notes: dict[str, str] | None,
        shards: int,
    ) -> None:
        write(self.folder, held, notes, shards)
        write(
            self.home / "other",
            {"taken.weight": (Dtype.F32, (2,)), "a": (Dtype.F16, (3,))},
            None,
            1,
        )

    @rule(select=globs)
    def drop(self, select: str) -> None:
        self.operate(Drop((select,)))

    @rule(select=st.lists(globs, min_size=1, max_size=2))
    def keep(self, select: list[str]) -> None:
        self.operate(Keep(tuple(select)))

    @rule(
        match=st.sampled_from(["a.**", "**.weight", "layers.*.**", "*", "teacher.**"]),
        to=st.sampled_from(["**", "z.**", "**.w", "x"]),
        free=st.booleans(),
    )
    def rename(self, match: str, to: str, free: bool) -> None:
        self.operate(RenameTensors(match, to, if_free=free))

    @rule(
        match=st.sampled_from([r"(.*)\.(\d+)(.*)", r"a(.*)"]), to=st.sampled_from([r"\1_", r"\1.n"])
    )
    def rename_by_expression(self, match: str, to: str) -> None:
        self.operate(RenameTensors(match, to, regex=True))

    @rule()
    def unwrap(self) -> None:
        self.operate(Unwrap())

    @rule(dtype=dtypes, select=globs, how=st.sampled_from(["", "lossy", "skip"]))
    def cast(self, dtype: Dtype, select: str, how: str) -> None:
        self.operate(Cast(dtype, (select,), lossy=how == "lossy", skip=how == "skip"))

    @rule(select=st.sampled_from(["**", "a", "taken.*"]))
    def take(self, select: str) -> None:
        self.operate(Take(str(self.home / "other"), (select,)))

    @rule(pointer=pointers, value=values)
    def set_value(self, pointer: str, value: object) -> None:
        self.operate(SetValue("config.json", pointer, value))

    @rule(pointer=pointers)
    def unset_value(self, pointer: str) -> None:
        self.operate(UnsetValue("config.json", pointer))

    @rule(pointer=pointers, to=st.sampled_from(["new", "renamed"]))
    def rename_key(self, pointer: str, to: str) -> None:
        self.operate(RenameKey("config.json", pointer, to))

    @rule(key=st.sampled_from(["format", "note"]), value=st.none() | st.text(max_size=3))
    def set_metadata(self, key: str, value: str | None) -> None:
        self.operate(SetMetadata(key, value))

    @rule(size=st.integers(1, 60))
    def reshard(self, size: int) -> None:
        self.operate(Reshard(size))

    @rule()
    def merge(self) -> None:
        self.operate(Merge())

    @rule(select=st.sampled_from(["README.md", "*.txt", "extra"]))
    def drop_file(self, select: str) -> None:
        self.operate(DropFile((select,)))

    @rule(path=st.sampled_from(["LICENSE", "README.md", "config.json"]))
    def copy_file(self, path: str) -> None:
        self.operate(CopyFile(str(self.home / "other/config.json"), path))

    @precondition(lambda self: self.count > 0)
    @rule()
    def two_at_once(self) -> None:
        self.operate(Merge(), Reshard(20), SetMetadata("note", "two"))

    def operate(self, *operations: Operation) -> None:
        """Plan, write elsewhere and in place, and hold the laws.

        An operation that is refused has changed nothing.
        """
        before = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        try:
            plan = api.plan(str(self.folder), operations)
        except EditRefused:
            assert {
                path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()
            } == before
            return
        self.count += 1
        out = self.home / str(self.count)
        api.write(plan, str(out))
        self.hold_the_laws(plan.before, out, plan.after)
        api.write(plan, in_place=True, backup=False)
        left, right = (
            {
                path.relative_to(root): path.read_bytes()
                for path in root.rglob("*")
                if path.is_file()
            }
            for root in (self.folder, out)
        )
        assert left == right
        self.folder = out

    def hold_the_laws(self, before: Checkpoint, out: Path, after: Checkpoint) -> None:
        """What was read is what was planned.

        Tensors of the same name, dtype and shape have the same bits, unless they were taken from
        elsewhere.
        """
        found = api.read(str(out))
        assert found._replace(where="", root="") == after
        old, new = payloads(before), payloads(found)
        kinds = {tensor.name: (tensor.dtype, tensor.shape) for tensor in before.tensors}
        taken = payloads(api.read(str(self.home / "other")))
        for tensor in found.tensors:
            if (
                kinds.get(tensor.name) == (tensor.dtype, tensor.shape)
                and len(old) == len(new)
                and old.keys() == new.keys()
                and tensor.name not in taken
            ):
                assert new[tensor.name] == old[tensor.name]


Surgery.TestCase.settings = settings(
    max_examples=40, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSurgery = Surgery.TestCase


@settings(max_examples=30, deadline=None)
@given(held=tensors, prefix=st.sampled_from(["p.", "teacher.", "x.y."]))
def test_a_rename_and_its_inverse_are_nothing(
    held: dict[str, tuple[Dtype, tuple[int, ...]]], prefix: str
) -> None:
    with tempfile.TemporaryDirectory() as home:
        write(Path(home) / "a", held, None, 1)
        for source, target, operation in (
            ("a", "b", RenameTensors("**", f"{prefix}**")),
            ("b", "c", RenameTensors(f"{prefix}**", "**")),
        ):
            api.write(api.plan(f"{home}/{source}", [operation]), f"{home}/{target}")
        assert (Path(home) / "c/model.safetensors").read_bytes() == (
            Path(home) / "a/model.safetensors"
        ).read_bytes()


@settings(max_examples=20, deadline=None)
@given(held=tensors, shards=st.integers(1, 3), size=st.integers(1, 60))
def test_sharding_and_merging_are_nothing_whatever_the_sizes(
    held: dict[str, tuple[Dtype, tuple[int, ...]]], shards: int, size: int
) -> None:
    with tempfile.TemporaryDirectory() as home:
        write(Path(home) / "one", held, {"format": "pt"}, 1)
        write(Path(home) / "many", held, {"format": "pt"}, shards)
        api.write(api.plan(f"{home}/many", [Reshard(size), Merge()]), f"{home}/merged")
        assert (Path(home) / "merged/model.safetensors").read_bytes() == (
            Path(home) / "one/model.safetensors"
        ).read_bytes()


def test_nothing_left_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", {"x": (Dtype.F32, (1,))}, None, 1)
    with pytest.raises(NothingLeft, match=r"drop \*\* would remove every tensor"):
        api.plan(str(tmp_path / "a"), [Drop(("**",))])
