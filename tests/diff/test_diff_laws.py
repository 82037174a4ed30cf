"""Laws of `compare` over generated checkpoints, held in memory: no file is read.

same         compare(a, a) is same and contains nothing but neutral changes
inverse      compare(b, a) == compare(a, b).inverse(), field by field, including the order
involution   compare(a, b).inverse().inverse() == compare(a, b)
accounting   every tensor of A and of B is accounted for exactly once: common, only in one side, or
             in one rename pair
content      every tensor pair whose dtype or shape differs is listed as such, and no other
equal shape  the two tensors of a rename pair have one shape
aspects      leaving out an aspect removes that aspect's changes and changes nothing else
selection    leaving out addresses adds no value, metadata or file change, and no tensor that is not
             selected
nothing      ignore('**') leaves an empty diff
neutral      equivalent values are listed with their reason and do not count as a difference
order        the order of tensors and files in a checkpoint does not matter
"""

from __future__ import annotations

from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import (
    Checkpoint,
    Document,
)
from ckpt_tools.checkpoint.names import Selection, value_address
from ckpt_tools.diff.compare import ALL_ASPECTS, compare
from ckpt_tools.diff.model import Aspect, Diff, FileChange, ValueChange
from ckpt_tools.strict_json.pointer import ABSENT
from tests.support.diff_strategies import (
    NEUTRAL,
    aspects,
    checkpoint,
    checkpoints,
    globs,
    tensor_pairs,
)

CHECKPOINT_EXAMPLES = 50
"""Number of examples where whole checkpoints are generated, which takes the time."""


# --- what a comparison must keep ------------------------------------------------------------------


@given(checkpoints())
def test_a_checkpoint_does_not_differ_from_itself(a: Checkpoint) -> None:
    found = compare(a, a)
    assert found.same
    assert found == Diff(a=a, b=a)


@given(tensor_pairs)
@settings(max_examples=200)
@example(
    (
        checkpoint({"b": (Dtype.F32, (2,)), "module.a": (Dtype.F32, (2,))}),
        checkpoint({"b": (Dtype.BF16, (2,)), "a": (Dtype.BF16, (2,))}),
    )
)
@example(
    (
        checkpoint({"_orig_mod.a": (Dtype.F32, ()), "module.a": (Dtype.F32, ())}),
        checkpoint({"a": (Dtype.F32, ())}),
    )
)
@example(
    (
        checkpoint({"module.a": (Dtype.F32, ()), "_orig_mod.a": (Dtype.F32, ())}),
        checkpoint({"a": (Dtype.F32, ())}),
    )
)
@example(
    (
        checkpoint({"layers.0.a": (Dtype.F32, ()), "layers.00.a": (Dtype.F32, ())}),
        checkpoint({"layers.1.a": (Dtype.F32, ())}),
    )
)
@example(
    (
        checkpoint({"layers.00.a": (Dtype.F32, ()), "layers.0.a": (Dtype.F32, ())}),
        checkpoint({"layers.1.a": (Dtype.F32, ())}),
    )
)
def test_comparing_the_other_way_round_is_the_inverse_for_tensors(
    pair: tuple[Checkpoint, Checkpoint],
) -> None:
    a, b = pair
    assert compare(b, a) == compare(a, b).inverse()


@given(checkpoints(), checkpoints())
@settings(max_examples=CHECKPOINT_EXAMPLES)
def test_comparing_the_other_way_round_is_the_inverse_for_everything(
    a: Checkpoint, b: Checkpoint
) -> None:
    forth, back = compare(a, b, neutral=NEUTRAL), compare(b, a, neutral=NEUTRAL).inverse()
    assert _as_text(forth) == _as_text(back)


def _as_text(diff: Diff) -> str:
    """Return the diff as text: NaN in it is like NaN, 0.0 unlike -0.0."""
    return repr(
        (
            diff.only_a,
            diff.only_b,
            diff.renamed,
            diff.retyped,
            diff.reshaped,
            diff.values,
            diff.metadata,
            diff.files,
        )
    )


@given(tensor_pairs)
def test_inverting_twice_changes_nothing(pair: tuple[Checkpoint, Checkpoint]) -> None:
    found = compare(*pair)
    assert found.inverse().inverse() == found


@given(tensor_pairs)
@settings(max_examples=200)
def test_every_tensor_is_accounted_for_exactly_once(pair: tuple[Checkpoint, Checkpoint]) -> None:
    a, b = pair
    found = compare(a, b)
    names_a, names_b = {tensor.name for tensor in a.tensors}, {tensor.name for tensor in b.tensors}
    pairs = [pair for rename in found.renamed for pair in rename.pairs]
    common = names_a & names_b
    assert sorted(
        [*common, *(tensor.name for tensor in found.only_a), *(left.name for left, _ in pairs)]
    ) == sorted(names_a)
    assert sorted(
        [*common, *(tensor.name for tensor in found.only_b), *(right.name for _, right in pairs)]
    ) == sorted(names_b)


@given(tensor_pairs)
def test_pairs_are_listed_where_they_differ_and_nowhere_else(
    pair: tuple[Checkpoint, Checkpoint],
) -> None:
    a, b = pair
    found = compare(a, b)
    in_b = {tensor.name: tensor for tensor in b.tensors}
    pairs = [(tensor, in_b[tensor.name]) for tensor in a.tensors if tensor.name in in_b] + [
        pair for rename in found.renamed for pair in rename.pairs
    ]
    assert set(found.retyped) == {
        (left, right) for left, right in pairs if left.dtype is not right.dtype
    }
    assert set(found.reshaped) == {
        (left, right) for left, right in pairs if left.shape != right.shape
    }
    assert len(set(found.retyped)) == len(found.retyped)
    assert len(set(found.reshaped)) == len(found.reshaped)


@given(tensor_pairs)
@settings(max_examples=200)
def test_renamed_tensors_have_one_shape_and_two_names(pair: tuple[Checkpoint, Checkpoint]) -> None:
    for rename in compare(*pair).renamed:
        assert rename.pairs
        for left, right in rename.pairs:
            assert left.shape == right.shape
            assert left.name != right.name


@given(tensor_pairs)
def test_a_rename_says_what_differs_in_the_names(pair: tuple[Checkpoint, Checkpoint]) -> None:
    for rename in compare(*pair).renamed:
        assert rename.old != rename.new


@given(tensor_pairs, st.randoms(use_true_random=False))
def test_the_order_of_tensors_in_the_files_does_not_matter(
    pair: tuple[Checkpoint, Checkpoint], random: Any
) -> None:
    a, b = pair
    shuffled = list(a.tensors)
    random.shuffle(shuffled)
    other = a._replace(weights=(a.weights[0]._replace(tensors=tuple(shuffled)),))
    assert _as_text(compare(a, b)) == _as_text(compare(other, b))


# --- what a filter may do -------------------------------------------------------------------------


FIELDS = {
    Aspect.KEYS: ("only_a", "only_b", "renamed"),
    Aspect.DTYPE: ("retyped",),
    Aspect.SHAPE: ("reshaped",),
    Aspect.METADATA: ("metadata",),
}
"""The fields of a Diff that an aspect alone fills. The other aspects share `values` and `files`."""
VALUE_ASPECTS = frozenset(Aspect) - FIELDS.keys() - {Aspect.FILES}


@given(checkpoints(), checkpoints(), aspects)
@settings(max_examples=CHECKPOINT_EXAMPLES)
def test_an_aspect_that_is_left_out_takes_its_own_changes_along_and_no_other(
    a: Checkpoint, b: Checkpoint, chosen: frozenset[Aspect]
) -> None:
    everything, found = compare(a, b), compare(a, b, aspects=chosen)
    for aspect, fields in FIELDS.items():
        for field in fields:
            assert repr(getattr(found, field)) == repr(
                getattr(everything, field) if aspect in chosen else ()
            )
    kept = [change for change in everything.values if _aspect(change) in chosen]
    assert repr(found.values) == repr(tuple(kept))
    read = {one.path for side in (a, b) for one in side.documents}
    read |= {one.path for side in (a, b) for one in side.states}
    files = [
        file
        for file in everything.files
        if Aspect.FILES in chosen
        or (file.path in read and None in (file.a, file.b) and _aspect(file) in chosen)
    ]
    assert found.files == tuple(files)


def _aspect(change: ValueChange | FileChange) -> Aspect:
    """Return the aspect that a value belongs to, by what the README promises.

    Config, train config, and processors with their state.
    """
    if change.path == "train_config.json":
        return Aspect.TRAIN_CONFIG
    if "processor" in change.path or change.path.endswith(".safetensors"):
        return Aspect.PROCESSORS
    return Aspect.CONFIG


@given(checkpoints(), checkpoints())
@settings(max_examples=CHECKPOINT_EXAMPLES)
def test_the_aspects_together_make_up_the_whole_comparison(a: Checkpoint, b: Checkpoint) -> None:
    everything = compare(a, b)
    alone = [compare(a, b, aspects={aspect}) for aspect in Aspect]
    assert frozenset(Aspect) == ALL_ASPECTS
    assert everything.same == all(found.same for found in alone)
    assert sorted(map(repr, everything.values)) == sorted(
        repr(change) for found in alone for change in found.values
    )


@given(checkpoints(), checkpoints(), globs, globs)
@settings(max_examples=CHECKPOINT_EXAMPLES)
def test_a_selection_only_removes(
    a: Checkpoint, b: Checkpoint, select: tuple[str, ...], ignore: tuple[str, ...]
) -> None:
    selection = Selection(select, ignore)
    everything, found = compare(a, b), compare(a, b, selection=selection)
    for field, address in (
        ("values", _value),
        ("metadata", _value),
        ("files", lambda change: change.path),
    ):
        assert [repr(change) for change in getattr(found, field)] == [
            repr(change) for change in getattr(everything, field) if address(change) in selection
        ]
    names = {tensor.name for side in (a, b) for tensor in side.tensors if tensor.name in selection}
    pairs = [
        *found.retyped,
        *found.reshaped,
        *(pair for rename in found.renamed for pair in rename.pairs),
    ]
    assert {
        tensor.name
        for tensor in (*found.only_a, *found.only_b, *(side for pair in pairs for side in pair))
    } <= names


def _value(change: ValueChange) -> str:
    return value_address(change.path, change.pointer)


@given(checkpoints(), checkpoints())
@settings(max_examples=CHECKPOINT_EXAMPLES)
def test_ignoring_everything_leaves_nothing(a: Checkpoint, b: Checkpoint) -> None:
    assert compare(a, b, selection=Selection(ignore=("**",))) == Diff(a=a, b=b)


@given(checkpoints(), checkpoints())
@settings(max_examples=CHECKPOINT_EXAMPLES)
def test_ignoring_what_differs_leaves_nothing(a: Checkpoint, b: Checkpoint) -> None:
    found = compare(a, b)
    pairs = [
        *found.retyped,
        *found.reshaped,
        *(pair for rename in found.renamed for pair in rename.pairs),
    ]
    tensors = {
        tensor.name
        for tensor in (*found.only_a, *found.only_b, *(side for pair in pairs for side in pair))
    }
    differing = {
        *tensors,
        *map(_value, (*found.values, *found.metadata)),
        *(change.path for change in found.files),
    }
    assume(not any(character in address for address in differing for character in "*?"))
    assert compare(a, b, selection=Selection(ignore=tuple(differing))).same


# --- values that mean the same --------------------------------------------------------------------


forms: st.SearchStrategy[Any] = st.sampled_from([ABSENT, False, None])


def _with(value: object, path: str = "config.json") -> Checkpoint:
    content = {} if value is ABSENT else {"use_reflow": value}
    return checkpoint({})._replace(
        documents=(Document(path=path, text=repr(content), value=content),)
    )


@given(forms, forms)
def test_neutral_values_are_no_difference(left: object, right: object) -> None:
    found = compare(_with(left), _with(right), neutral=NEUTRAL)
    assert found.same
    if left is not right:
        assert [change.pointer for change in found.values] == ["/use_reflow"]
        assert "equivalent" in found.values[0].same_because


@given(forms, st.sampled_from([True, 0, 0.0, "", "false", [], {}]))
def test_a_value_that_is_not_neutral_is_a_difference(left: object, right: object) -> None:
    assert not compare(_with(left), _with(right), neutral=NEUTRAL).same
    assert not compare(_with(right), _with(left), neutral=NEUTRAL).same


@given(forms, forms)
def test_values_are_neutral_at_their_own_address_only(left: object, right: object) -> None:
    path = "generation_config.json"
    assert compare(_with(left, path), _with(right, path), neutral=NEUTRAL).same == (left is right)
    assert compare(_with(left), _with(right)).same == (left is right)
