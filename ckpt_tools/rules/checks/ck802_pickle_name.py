"""No file is called like a pickle.

`torch.load`, `joblib.load` and `pickle.load` run what such a file says. A scanner cannot tell a
harmless one from a hostile one, so it is not rated: it is not uploaded. Keras files (.h5, .keras)
may hold Python code in Lambda layers and are treated alike. What a file holds whatever its name is
CK803's.

Save the tensors as safetensors and leave the file out. Optimizer and trainer state belong beside
the checkpoint, not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

SUFFIXES = (
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".pkl",
    ".pickle",
    ".pck",
    ".p",
    ".dill",
    ".cloudpickle",
    ".joblib",
    ".pt2",
    ".ptl",
    ".mar",
    ".nemo",
    ".t7",
)
KERAS = (".h5", ".hdf5", ".keras")


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file."""
    for entry in subject.entries or ():
        name = entry.path.lower()
        if entry.kind in ("file", "link") and name.endswith((*SUFFIXES, *KERAS)):
            kind = (
                "a Keras file, which may hold code"
                if name.endswith(KERAS)
                else "a pickle, which runs code when it is loaded"
            )
            yield Violation(
                f"is by its name {kind}",
                entry.path,
                next="save the tensors as safetensors and leave this file out",
            )


RULE = Rule(
    code="CK802",
    name="pickle-name",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
