"""Differences from a reference checkpoint, and from a lockfile."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.names import covering
from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.model import Aspect, RenameKind
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.rules.coverage import Covered, Question
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, amount, by_part, first, only_file, parts
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.strict_json.parse import escape
from ckpt_tools.text import count
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.checkpoint.spec import Spec
    from ckpt_tools.diff.model import Diff, Rename
    from ckpt_tools.rules.rule import Subject

_GLOBS = 8
"""Patterns in a suggested command; what more would match is found by the next run."""

_AS_LISTED = "repair the checkpoint, or write the lockfile again: ckpt spec write"


def _diff(subject: Subject, aspect: Aspect) -> Diff:
    """Compare the reference with the checkpoint in one aspect."""
    return compare(
        subject.reference or subject.checkpoint,
        subject.checkpoint,
        aspects={aspect},
        neutral=subject.family.neutral,
    )


@rule("CK501", "tensors-unlike-reference", Severity.ERROR, needs=(Need.HEADERS, Need.BASELINE))
def tensors_unlike_reference(subject: Subject) -> Iterator[Violation | Covered]:
    """Tensors that differ from the reference's by name.

    The reference is a checkpoint that loads. What only the reference has, the loader leaves at
    random values; what only this checkpoint has, it drops, and everybody downloads it in vain; a
    tensor under another name is both.

    `ckpt diff NORMAL WHERE` lists each. `ckpt sanitize` repairs what training leaves
    behind, `ckpt rename` repairs names.

    Bad (the reference has model.state_proj.weight):

        policy.state_proj.weight

    Good:

        model.state_proj.weight
    """
    yield Covered(Question.COMPLETENESS)
    every = [tensor.name for tensor in subject.checkpoint.tensors]
    diff = _diff(subject, Aspect.KEYS)
    for part, members in parts(subject.family, diff.only_a):
        yield _missing(subject, part, members)
    extra = [tensor for tensor in diff.only_b if not tensor.name.startswith(TEACHER_PREFIXES)]
    for part, members in parts(subject.family, extra):
        what = f"{amount(members)} that the reference does not have ({part})"
        globs = covering([tensor.name for tensor in members], every)[:_GLOBS]
        remedy = Remedy(("ckpt", "strip", "WHERE", *globs), "{} removes them if nothing uses them")
        yield about(members, what, remedy, Severity.WARNING)
    for rename in diff.renamed:
        if rename.kind is not RenameKind.WRAPPER:
            members = [mine for _, mine in rename.pairs]
            old, new = (f"`{end}`" if end else "the root" for end in (rename.old, rename.new))
            what = (
                f"under {new} that the reference has under {old}"
                if rename.kind is RenameKind.PREFIX
                else f"named {new} that the reference names {old}"
            )
            said = f"{count(len(members), 'tensor')} {what}"
            yield about(members, said, _renaming(rename, every))


def _renaming(rename: Rename, every: list[str]) -> Remedy | str:
    """Return the command that gives the names of the reference, if one command can."""
    match, to = rename.pairs[0][1].name, rename.pairs[0][0].name
    is_complete = len(rename.pairs) == 1
    if rename.kind is RenameKind.PREFIX and rename.new:
        match, to = f"{rename.new}**", f"{rename.old}**"
        is_complete = len(rename.pairs) == sum(name.startswith(rename.new) for name in every)
    if not is_complete or "*" in rename.new:
        return "`ckpt diff` lists the names, and `ckpt rename` gives them those of the reference"
    return Remedy(("ckpt", "rename", "WHERE", match, to), safe=True)


def _missing(subject: Subject, part: str, members: list[Tensor]) -> Violation:
    """Return an error for missing tensors, a note for those that the loader never reads."""
    path, name = only_file(subject.checkpoint), first(tensor.name for tensor in members)
    what = f"{amount(members)} of the reference missing ({part})"
    if not subject.family.needs(members[0].name):
        remedy = "nothing to do: the loader does not read them"
        return Violation(what, path, name, remedy, Severity.NOTE)
    means = f": {subject.family.missing}" if subject.family.missing else ""
    plan = "take them from the reference, with `take` in a recipe for `ckpt plan`"
    return Violation(f"{what}{means}", path, name, plan)


@rule(
    "CK502",
    "dtypes-unlike-reference",
    Severity.WARNING,
    needs=(Need.HEADERS, Need.BASELINE),
    fix="ckpt sanitize WHERE --reference NORMAL",
)
def dtypes_unlike_reference(subject: Subject) -> Iterator[Violation]:
    """Tensor dtypes that differ from the reference's.

    Another dtype is loaded silently. A wider one makes the file larger and loses nothing; a
    narrower one has already lost bits.

    `ckpt sanitize WHERE --reference NORMAL` casts back what can be cast without a loss.

    Bad (BF16 in the reference):

        model.vlm_with_expert.vlm.lm_head.weight    F32

    Good:

        model.vlm_with_expert.vlm.lm_head.weight    BF16
    """
    groups: defaultdict[tuple[str, str], list[Tensor]] = defaultdict(list)
    for theirs, mine in _diff(subject, Aspect.DTYPE).retyped:
        groups[mine.dtype.label, theirs.dtype.label].append(mine)
    for (dtype, normal), tensors in groups.items():
        part = subject.family.parts(tensor.name for tensor in tensors)
        yield about(
            tensors, f"{amount(tensors)} in {dtype}, but {normal} in the reference ({part})"
        )


@rule("CK503", "shapes-unlike-reference", Severity.ERROR, needs=(Need.HEADERS, Need.BASELINE))
def shapes_unlike_reference(subject: Subject) -> Iterator[Violation]:
    """Tensor shapes that differ from the reference's.

    Loading the checkpoint with the reference's config fails: stock LeRobot raises RuntimeError,
    size mismatch. The two are models of different sizes, or one was trained for a robot with other
    dimensions.

    This cannot be repaired. Compare the checkpoint with a reference of its own size.

    Bad ([720, 32] in the reference):

        model.action_in_proj.weight    [720, 14]

    Good:

        model.action_in_proj.weight    [720, 32]
    """
    reshaped = _diff(subject, Aspect.SHAPE).reshaped
    named = ((mine.name, (theirs, mine)) for theirs, mine in reshaped)
    for part, pairs in by_part(subject.family, named):
        tensors = [mine for _, mine in pairs]
        theirs, mine = pairs[0]
        what = (
            f"{amount(tensors)} of another shape than in the reference ({part}), the first "
            f"{list(mine.shape)} instead of {list(theirs.shape)}"
        )
        yield about(tensors, what, "compare it with a reference of its own size")


@rule(
    "CK504",
    "config-unlike-reference",
    Severity.ERROR,
    needs=(Need.CONFIG, Need.BASELINE),
    fix="ckpt config WHERE diff NORMAL",
)
def config_unlike_reference(subject: Subject) -> Iterator[Violation]:
    """Decisive config values that differ from the reference's.

    A key that decides which tensors there are, or how they are loaded, makes another model of the
    same file: other layers, a VLM in F32, another time scale. Keys of training, paths and the
    machine may differ, and values with the same meaning (a reserved key absent, false or null)
    count as equal.

    `ckpt config WHERE diff NORMAL` lists all differences, `ckpt config WHERE set KEY VALUE` changes
    a value.

    Bad (16 in the reference):

        {"type": "smolvla", "num_vlm_layers": 32}

    Good:

        {"type": "smolvla", "num_vlm_layers": 16}
    """
    cleaning = subject.family.cleaning
    keys = subject.family.decisive | set(cleaning.reserved if cleaning else ())
    for change in _diff(subject, Aspect.CONFIG).values:
        key = change.pointer.split("/")[1] if change.pointer else ""
        if change.path == CONFIG and key in keys and not change.same_because:
            # The name of the VLM is a path on one machine and a name on the Hub on another.
            severity = Severity.WARNING if key == "vlm_model_name" else None
            what = f"is {shown(change.b)}, but {shown(change.a)} in the reference"
            yield Violation(what, change.path, change.pointer, severity=severity)


@rule(
    "CK505",
    "metadata-unlike-reference",
    Severity.NOTE,
    needs=(Need.HEADERS, Need.BASELINE),
    fix="ckpt sanitize WHERE --reference NORMAL",
)
def metadata_unlike_reference(subject: Subject) -> Iterator[Violation]:
    """Metadata that differs from the reference's.

    Loaders use little of `__metadata__`; some reject a file without `format`. A difference shows
    that something else wrote the file: LeRobot writes none, FSDP and transformers write `format`,
    training scripts write anything.

    `ckpt sanitize WHERE --reference NORMAL` writes the reference's.

    Bad (the reference has none):

        {"__metadata__": {"format": "pt", "epoch": "12"}}

    Good:

        {}
    """
    aliases = {
        f"/{escape(alias)}" for file in subject.checkpoint.weights for alias, _ in file.aliases
    }
    changes = [
        change
        for change in _diff(subject, Aspect.METADATA).metadata
        if change.pointer not in aliases
    ]
    if changes:
        one = changes[0]
        what = (
            f"{count(len(changes), 'metadata value')} unlike the reference's, the first "
            f"{shown(one.b)} instead of {shown(one.a)}"
        )
        yield Violation(what, only_file(subject.checkpoint), f"__metadata__{one.pointer}")


@rule("CK511", "unlike-spec", Severity.ERROR, needs=(Need.HEADERS, Need.SPEC))
def unlike_spec(subject: Subject) -> Iterator[Violation | Covered]:
    """Tensors that differ from the lockfile.

    A lockfile (`ckpt spec`) promises names, dtypes and shapes to other code that loads the
    checkpoint. It does not cover tensor values.

    Repair the checkpoint, or write the lockfile again where the change was intended: `ckpt spec
    write WHERE -o spec.json`.

    Bad (the lockfile lists model.state_proj.weight, F32 [960, 32]):

        model.state_proj.weight    BF16 [960, 32]

    Good:

        model.state_proj.weight    F32 [960, 32]
    """
    yield Covered(Question.COMPLETENESS)
    yield Covered(Question.AGREEMENT, "shapes and dtypes of the lockfile")
    held = {tensor.name: tensor for tensor in subject.checkpoint.tensors}
    listed = _listed(subject.spec, held) if subject.spec else {}
    missing = ((name, name) for name in listed if name not in held)
    for part, names in by_part(subject.family, missing):
        what = f"{count(len(names), 'tensor')} of the lockfile missing ({part})"
        yield Violation(what, only_file(subject.checkpoint), first(names), _AS_LISTED)
    extra = [tensor for tensor in held.values() if tensor.name not in listed]
    for part, tensors in parts(subject.family, extra):
        what = f"{amount(tensors)} that the lockfile does not list ({part})"
        yield about(tensors, what, _AS_LISTED)
    both = [tensor for tensor in held.values() if tensor.name in listed]
    for word, compared in (
        ("dtype", [(tensor, tensor.dtype, listed[tensor.name][0]) for tensor in both]),
        ("shape", [(tensor, [*tensor.shape], [*listed[tensor.name][1]]) for tensor in both]),
    ):
        unlike = ((one[0].name, one) for one in compared if one[1] != one[2])
        for part, members in by_part(subject.family, unlike):
            tensors = [tensor for tensor, _, _ in members]
            _, mine, theirs = members[0]
            what = (
                f"{amount(tensors)} of another {word} than in the lockfile ({part}), the first "
                f"{mine} instead of {theirs}"
            )
            yield about(tensors, what, _AS_LISTED)


def _listed(spec: Spec, held: Collection[str]) -> dict[str, tuple[Dtype, tuple[int, ...]]]:
    """Return dtype and shape by name, of tensors with several names under one that is there."""
    listed = {name: (dtype, shape) for name, dtype, shape in spec.tensors}
    for names in spec.ties:
        kept = next((name for name in names if name in listed), "")
        there = [name for name in names if name in held]
        if kept and there:
            one = listed.pop(kept)
            listed |= dict.fromkeys(there, one)
    return listed
