"""A tour of the Python API: check a checkpoint, see what changed, plan its repair and write it."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ckpt_tools import api
from ckpt_tools.api.types import Finding, LayerChange, Plan, Severity
from ckpt_tools.errors import CkptError


def errors(where: Path) -> list[Finding]:
    """Return what keeps a checkpoint from loading as it was saved."""
    found = api.verify(where).findings
    return [finding for finding in found if finding.severity is Severity.ERROR]


def most_changed(a: Path, b: Path) -> LayerChange | None:
    """Return the layer whose tensors changed most, relative to their norms."""
    changes = api.diff(a, b, values=True).changes
    layers = changes.layers if changes else ()
    return max(layers, key=lambda layer: layer.rel_l2, default=None)


def repaired(where: Path, reference: Path, output: Path) -> Plan:
    """Write a repaired copy of a checkpoint, and return the plan that it was made by."""
    plan = api.sanitize(where, reference=reference)
    api.write(plan, output)
    return plan


def main(normal: Path, reflow: Path, output: Path) -> None:
    """Take the tour with a standard checkpoint and a broken one, repaired in `output`."""
    for finding in errors(reflow):
        print(finding.code, finding.path, finding.subject)  # CK702 config.json /use_reflow

    plan = repaired(reflow, normal, output)
    print(len(plan.steps), "steps")  # 8 steps
    print(api.gate(output).passes)  # True

    layer = most_changed(normal, output)
    if layer:
        print(layer.title, f"{layer.rel_l2:.0%}")  # state and action projections 144%

    try:
        api.show("missing")
    except CkptError as error:
        print(error.what)  # no such file or directory


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        normal, reflow = map(Path, sys.argv[1:] or ("fixtures/normal", "fixtures/reflow"))
        main(normal, reflow, Path(folder) / "repaired")
