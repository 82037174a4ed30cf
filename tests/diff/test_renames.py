"""Renames: which tensor of A is which of B, and by what rule.

Each rule alone, the other way round, and several in one pair of checkpoints; the real 500-key
layout under every prefix that training code gives a teacher; cases in which two answers are equally
good, where the order of a file must not decide; a size at which anything quadratic would take
hours.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.model import RenameKind
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.families.smolvla.layout import Dimensions, layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.diff.model import Diff

    type Make = Callable[..., Checkpoint]
    type NamedShapes = Iterable[tuple[str, tuple[int, ...]]]

LAYOUT = layout(Dimensions())
VLM = "model.vlm_with_expert.vlm."
HOURS_IF_QUADRATIC = 120
"""Seconds for what takes two: 10^9 comparisons would not fit."""


@pytest.fixture
def diff(made: Make) -> Callable[[NamedShapes, NamedShapes], Diff]:
    """Return a function that compares two lists of (name, shape) and checks the inverse too."""

    def compared(a: NamedShapes, b: NamedShapes) -> Diff:
        left, right = made(a), made(b)
        found = compare(left, right)
        assert compare(right, left).inverse() == found
        return found

    return compared


type Compared = Callable[[NamedShapes, NamedShapes], Diff]


def moved(found: Diff) -> dict[str, str]:
    """Return the new name by the old one."""
    return {a.name: b.name for rename in found.renamed for a, b in rename.pairs}


def kinds(found: Diff) -> list[tuple[RenameKind, str, str, int]]:
    return [(rename.kind, rename.old, rename.new, len(rename.pairs)) for rename in found.renamed]


BLOCK = [("q.weight", (4, 4)), ("k.weight", (2, 4)), ("norm.weight", (4,))]


def stack(stem: str, numbers: Iterable[int]) -> list[tuple[str, tuple[int, ...]]]:
    return [(f"{stem}.{number}.{name}", shape) for number in numbers for name, shape in BLOCK]


# --- each rule alone ------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["teacher.", "model.", "a.b.c.", "0.", "."])
def test_a_prefix_is_seen_added_and_removed(diff: Compared, prefix: str) -> None:
    long = [(prefix + name, shape) for name, shape in BLOCK]
    assert kinds(diff(BLOCK, long)) == [(RenameKind.PREFIX, "", prefix, 3)]
    assert kinds(diff(long, BLOCK)) == [(RenameKind.PREFIX, prefix, "", 3)]


@pytest.mark.parametrize("prefix", TEACHER_PREFIXES)
def test_the_whole_layout_moved_under_a_teacher_prefix_is_one_rename(
    diff: Compared, prefix: str
) -> None:
    found = diff(LAYOUT, [(prefix + name, shape) for name, shape in LAYOUT])
    assert kinds(found) == [(RenameKind.PREFIX, "", prefix, 500)]
    assert moved(found) == {name: prefix + name for name, _ in LAYOUT}


@pytest.mark.parametrize("prefix", TEACHER_PREFIXES)
def test_a_vlm_that_is_left_under_its_teachers_name_only_is_345_tensors_moved(
    diff: Compared, prefix: str
) -> None:
    student = [(name, shape) for name, shape in LAYOUT if not name.startswith(VLM)]
    found = diff(LAYOUT, [*student, *((prefix + name, shape) for name, shape in LAYOUT)])
    assert kinds(found) == [(RenameKind.PREFIX, "", prefix, 345)]
    assert sorted(tensor.name for tensor in found.only_b) == sorted(
        prefix + name for name, _ in student
    )
    assert not found.only_a


@pytest.mark.parametrize(
    "wrapper", ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"]
)
@pytest.mark.parametrize("place", [0, 1, 2, 3, -1])
def test_a_wrapper_is_seen_anywhere_in_the_name(diff: Compared, wrapper: str, place: int) -> None:
    plain = stack("model.layers", range(3))
    wrapped = [
        (".".join([*(parts := name.split("."))[:place], wrapper, *parts[place:]]), shape)
        for name, shape in plain
    ]
    assert kinds(diff(plain, wrapped)) == [(RenameKind.WRAPPER, "", wrapper, 9)]
    assert kinds(diff(wrapped, plain)) == [(RenameKind.WRAPPER, wrapper, "", 9)]
    assert moved(diff(plain, wrapped)) == {
        a: b for (a, _), (b, _) in zip(plain, wrapped, strict=True)
    }


def test_wrappers_inside_wrappers_are_one_rename(diff: Compared) -> None:
    plain = stack("model.layers", range(3))
    found = diff(plain, [(f"_orig_mod.module.{name}", shape) for name, shape in plain])
    assert kinds(found) == [(RenameKind.WRAPPER, "", "_orig_mod.module", 9)]


def test_one_wrapper_exchanged_for_another_is_a_rename(diff: Compared) -> None:
    found = diff(
        [(f"module.{name}", shape) for name, shape in BLOCK],
        [(f"_orig_mod.{name}", shape) for name, shape in BLOCK],
    )
    assert kinds(found) == [(RenameKind.WRAPPER, "module", "_orig_mod", 3)]


def test_a_module_that_is_called_like_a_wrapper_but_not_quite_is_none() -> None:
    assert unwrapped("modules._orig_module.module.x_orig_mod") == "modules._orig_module.x_orig_mod"


@pytest.mark.parametrize("offset", [1, 4, 100])
def test_layers_that_are_shifted_are_told_by_their_offset(diff: Compared, offset: int) -> None:
    low, high = stack("model.layers", range(1)), stack("model.layers", range(offset, offset + 1))
    assert kinds(diff(low, high)) == [
        (RenameKind.LAYER_OFFSET, "model.layers.{n}", f"model.layers.{{n+{offset}}}", 3)
    ]
    assert kinds(diff(high, low)) == [
        (RenameKind.LAYER_OFFSET, f"model.layers.{{n+{offset}}}", "model.layers.{n}", 3)
    ]


def test_a_stack_of_sixteen_layers_is_shifted_as_one(diff: Compared) -> None:
    found = diff(stack("model.layers", range(16)), stack("model.layers", range(16, 32)))
    assert kinds(found) == [
        (RenameKind.LAYER_OFFSET, "model.layers.{n}", "model.layers.{n+16}", 48)
    ]
    assert moved(found)["model.layers.3.q.weight"] == "model.layers.19.q.weight"


def test_two_stacks_are_shifted_each_by_its_own_offset(diff: Compared) -> None:
    found = diff(
        [*stack("text.layers", range(2)), *stack("vision.layers", range(3))],
        [*stack("text.layers", range(2, 4)), *stack("vision.layers", range(5, 8))],
    )
    assert kinds(found) == [
        (RenameKind.LAYER_OFFSET, "vision.layers.{n}", "vision.layers.{n+5}", 9),
        (RenameKind.LAYER_OFFSET, "text.layers.{n}", "text.layers.{n+2}", 6),
    ]


def test_a_subtree_of_one_level_that_is_renamed_is_seen(diff: Compared) -> None:
    found = diff(
        [("encoder.w", (4, 4)), ("encoder.b", (4,))], [("backbone.w", (4, 4)), ("backbone.b", (4,))]
    )
    assert kinds(found) == [(RenameKind.SUBTREE, "encoder", "backbone", 2)]


def test_a_subtree_with_subtrees_that_is_renamed_is_seen(diff: Compared) -> None:
    a = [
        (f"encoder.{name}.weight", shape)
        for name, shape in (("q", (4, 4)), ("k", (2, 4)), ("norm", (4,)))
    ]
    b = [(name.replace("encoder", "backbone"), shape) for name, shape in a]
    assert kinds(diff(a, b)) == [(RenameKind.SUBTREE, "encoder", "backbone", 3)]


def test_the_two_tensors_of_a_renamed_module_are_one_rename(diff: Compared) -> None:
    a = [("enc.a.w", (2,)), ("enc.b.w", (3,))]
    found = diff(a, [(name.replace("enc", "dec"), shape) for name, shape in a])
    assert moved(found) == {"enc.a.w": "dec.a.w", "enc.b.w": "dec.b.w"}


def test_the_expert_under_another_name_is_one_rename(diff: Compared) -> None:
    found = diff(
        LAYOUT, [(name.replace(".lm_expert.", ".action_expert."), shape) for name, shape in LAYOUT]
    )
    assert kinds(found) == [(RenameKind.SUBTREE, "lm_expert", "action_expert", 145)]


# --- several at once ------------------------------------------------------------------------------


def test_a_wrapper_a_prefix_an_offset_and_a_loss_in_one_pair_are_told_apart(diff: Compared) -> None:
    same = [("head.bias", (7,))]
    a = [
        *same,
        *stack("text.layers", range(2)),
        *[(f"vision.{name}", (5, 5)) for name in "abcd"],
        ("proj.weight", (6, 6)),
        ("gone", (9,)),
    ]
    b = [
        *same,
        *stack("text.layers", range(4, 6)),
        *[(f"vision.module.{name}", (5, 5)) for name in "abcd"],
        ("extra.proj.weight", (6, 6)),
        ("new", (11,)),
    ]
    found = diff(a, b)
    assert kinds(found) == [
        (RenameKind.LAYER_OFFSET, "text.layers.{n}", "text.layers.{n+4}", 6),
        (RenameKind.WRAPPER, "", "module", 4),
        (RenameKind.PREFIX, "", "extra.", 1),
    ]
    assert [tensor.name for tensor in found.only_a] == ["gone"]
    assert [tensor.name for tensor in found.only_b] == ["new"]


def test_half_of_the_layout_compiled_and_the_teacher_beside_it(diff: Compared) -> None:
    """The VLM is compiled, the expert is not, and a teacher came along under its prefix."""
    b = [(name.replace(VLM, f"{VLM}_orig_mod."), shape) for name, shape in LAYOUT] + [
        ("teacher." + name, shape) for name, shape in LAYOUT
    ]
    found = diff(LAYOUT, b)
    assert kinds(found) == [(RenameKind.WRAPPER, "", "_orig_mod", 345)]
    assert len(found.only_b) == 500


# --- what must not be guessed ---------------------------------------------------------------------


def test_another_shape_is_no_rename(diff: Compared) -> None:
    assert not diff([("a", (2,))], [("teacher.a", (3,))]).renamed
    assert not diff([("a", (2,))], [("module.a", (3,))]).renamed
    assert not diff([("l.0.a", (2,))], [("l.1.a", (3,))]).renamed


def test_a_longer_name_that_is_no_prefix_at_a_dot_is_no_rename(diff: Compared) -> None:
    assert not diff([("weight", (2, 2)), ("b", (3,))], [("xweight", (2, 2)), ("xb", (3,))]).renamed


def test_a_name_that_is_in_both_is_never_renamed(diff: Compared) -> None:
    found = diff([("a", (2,)), ("teacher.b", (2,))], [("a", (2,)), ("teacher.a", (2,))])
    assert "a" not in moved(found)


@pytest.mark.parametrize("swapped", [False, True])
def test_two_wrapped_tensors_are_not_both_the_plain_one_and_the_order_in_the_file_does_not_choose(
    made: Make, *, swapped: bool
) -> None:
    wrapped = [("_orig_mod.a", (2,)), ("module.a", (2,))]
    a, b = made(reversed(wrapped) if swapped else wrapped), made([("a", (2,))])
    found, usual = compare(a, b), compare(made(wrapped), b)
    assert len(moved(found)) <= 1
    assert moved(found) == moved(usual)
    assert compare(b, a) == found.inverse()


@pytest.mark.parametrize("swapped", [False, True])
def test_two_spellings_of_one_layer_number_are_not_confused(made: Make, *, swapped: bool) -> None:
    spelled = [("layers.0.a", (2,)), ("layers.00.a", (2,))]
    a, b = made(reversed(spelled) if swapped else spelled), made([("layers.1.a", (2,))])
    found = compare(a, b)
    assert compare(b, a) == found.inverse()
    assert moved(found) == moved(compare(made(spelled), b))


def test_subtrees_of_equal_shapes_are_not_matched_by_luck(diff: Compared) -> None:
    """Two candidates on one side: which of them was renamed cannot be known."""
    found = diff(
        [("left.w", (2, 2)), ("left.b", (2,))],
        [("up.w", (2, 2)), ("up.b", (2,)), ("down.w", (2, 2)), ("down.b", (2,))],
    )
    assert not found.renamed


def test_tensors_that_share_nothing_but_their_shape_are_no_rename(diff: Compared) -> None:
    assert not diff([("alpha", (2, 2))], [("omega", (2, 2))]).renamed
    assert not diff([("alpha.beta", (2, 2))], [("psi.omega", (2, 2))]).renamed


def test_a_removed_layer_is_no_rename_of_the_others(diff: Compared) -> None:
    found = diff(stack("layers", range(4)), stack("layers", range(3)))
    assert not found.renamed
    assert {tensor.name for tensor in found.only_a} == {name for name, _ in stack("layers", [3])}


def test_names_of_other_alphabets_and_digits_are_only_names(diff: Compared) -> None:
    names = ["层.٣.权重", "l.².w", "l.-1.w", "l.1_0.w", "l. 1.w", "é.0.w"]
    found = diff([(name, (2,)) for name in names], [(f"teacher.{name}", (2,)) for name in names])
    assert moved(found) == {name: f"teacher.{name}" for name in names}


def test_a_layer_number_of_five_thousand_digits_is_only_a_name(diff: Compared) -> None:
    found = diff([(f"l.{'9' * 5000}.w", (2,)), ("l.1.w", (2,))], [("l.2.w", (2,))])
    assert len(found.only_a) + len(moved(found)) == 2


# --- how it grows ---------------------------------------------------------------------------------

LARGE = """
import gc
from ckpt_tools.diff.renames import match
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.checkpoint.dtype import Dtype

gc.disable()
def tensors(*names):
    return [
        Tensor(name.format(number), Dtype.F32, (4,), "m", 0, 16)
        for name in names
        for number in range(8_000)
    ]
old = tensors("moved.p{}.w", "wrapped.p{}.w", "alone{}.w", "left.q{}.w")
new = tensors("teacher.moved.p{}.w", "wrapped.module.p{}.w", "alone{}.v.w", "right.q{}.w")
for rename in match(old, new):
    print(rename.kind, len(rename.pairs), sep=":")
"""


def test_thirty_thousand_tensors_are_matched_without_comparing_each_with_each() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE],
        capture_output=True,
        text=True,
        timeout=HOURS_IF_QUADRATIC,
        check=True,
    )
    assert {"prefix:8000", "wrapper:8000"} <= set(done.stdout.split())


def test_a_stack_of_ten_thousand_layers_is_shifted_as_one(diff: Compared) -> None:
    low, high = (
        [(f"l.{n}.w", (2,)) for n in range(10_000)],
        [(f"l.{n}.w", (2,)) for n in range(10_000, 20_000)],
    )
    assert kinds(diff(low, high)) == [(RenameKind.LAYER_OFFSET, "l.{n}", "l.{n+10000}", 10_000)]


LONG_NAME = """
from ckpt_tools.diff.renames import match
from ckpt_tools.diff.groups import group_differences
from ckpt_tools.diff.compare import compare
from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile
from ckpt_tools.checkpoint.dtype import Dtype

def checkpoint(*names):
    tensors = tuple(
        Tensor(name, Dtype.F32, (1,), "m", 4 * number, 4 * number + 4)
        for number, name in enumerate(names)
    )
    file = TensorFile(path="m", size=8, payload_start=4, tensors=tensors, metadata=None)
    return Checkpoint(where="", root="", weights=(file,))
diff = compare(checkpoint("x"), checkpoint("a." * 500_000, "0." * 200_000))
print(len(group_differences(diff)))
"""


def test_a_name_of_a_megabyte_of_dots_does_not_hold_up_a_comparison() -> None:
    """A header of 100 MB may be one name: what reads each of its suffixes would take days."""
    done = subprocess.run(
        [sys.executable, "-c", LONG_NAME], capture_output=True, text=True, timeout=120, check=True
    )
    assert int(done.stdout) >= 1
