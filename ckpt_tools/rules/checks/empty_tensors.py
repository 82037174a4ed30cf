"""Weights of which nothing is there: tensors without elements, files without tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, lacks_elements, only_file, parts
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_AGAIN = "save it again with the parameters gathered"


@rule("CK312", "empty-tensors", Severity.WARNING, needs=Need.HEADERS)
def empty_tensors(subject: Subject) -> Iterator[Violation]:
    """Tensors without elements.

    No part of a model has a size of 0. An empty tensor is what remains where a sharded parameter
    was saved by a process that held none of it (FSDP, DeepSpeed): the weights themselves are lost.
    Stock LeRobot and transformers reject it under a name that they read, and drop it under another.
    In a model of an unknown family only floating-point weights and biases count, and are an error:
    a buffer that nothing filled, such as a quantizer's, is empty on purpose.

    Save the checkpoint again with the parameters gathered. If nothing uses the tensor, `ckpt strip`
    removes it.

    Bad:

        model.state_proj.weight    F32 [0]

    Good:

        model.state_proj.weight    F32 [960, 32]
    """
    is_known = subject.family.cleaning is not None
    empty = [tensor for tensor in subject.checkpoint.tensors if lacks_elements(subject, tensor)]
    severity = None if is_known else Severity.ERROR
    for part, members in parts(subject.family, empty):
        what = f"{count(len(members), 'tensor')} without elements ({part})"
        yield about(members, what, _AGAIN, severity)


@rule("CK326", "no-tensors", Severity.ERROR, needs=Need.HEADERS)
def no_tensors(subject: Subject) -> Iterator[Violation]:
    """Weights without a tensor.

    The file is a valid container and holds nothing: every weight of the model stays at random
    values. Saving under DeepSpeed ZeRO-3 without gathering the parameters writes such a file, and
    so does a script that filtered away every name.

    Save the checkpoint again, with the parameters gathered.

    Bad (model.safetensors):

        {"__metadata__": {"format": "pt"}}

    Good:

        {"model.norm.weight": {"dtype": "BF16", "shape": [16], "data_offsets": [0, 32]}}
    """
    there = subject.checkpoint
    if there.weights and not there.tensors and Kind.ADAPTER not in subject.kinds:
        what = "holds no tensor: every weight of the model stays at random values"
        yield Violation(what, only_file(there), next=_AGAIN)
