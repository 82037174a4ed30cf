"""Plots what `ckpt doctor` measured: times by number of steps, and the actions of both policies.

The only module that imports matplotlib.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from math import ceil
from typing import TYPE_CHECKING

from ckpt_tools.errors import OutputInside, PlotMissing, Unwritable
from ckpt_tools.text import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ckpt_tools.doctor.measurement import Live

KINDS = (".png", ".svg", ".pdf")
_COLORS = {"NORMAL": "#4d4d4d", "REFLOW": "#1f77b4"}
_MOST, _COLUMNS = 14, 3
"""Number of dimensions that are drawn, and of panels in a row."""


def check(path: str) -> None:
    """Raise what would prevent a plot at `path`, before anything is measured.

    PlotMissing, OutputInside or Unwritable.
    """
    if find_spec("matplotlib") is None:
        raise PlotMissing("--plot needs matplotlib, which is not installed")
    if not path.lower().endswith(KINDS):
        raise OutputInside(
            f"unsupported file type; expected {', '.join(KINDS)}",
            path=path,
            hint="name an image file",
        )
    folder = os.path.split(path)[0] or "."
    if not os.path.isdir(folder) or os.path.isdir(path):
        raise Unwritable(
            "is a folder" if os.path.isdir(path) else f"no such folder: {folder}",
            path=path,
            hint="name a file in an existing folder",
        )


def draw(live: Live, path: str) -> None:
    """Write the plot to `path`, in the format of its suffix. Raises Unwritable."""
    import matplotlib.figure  # noqa: PLC0415 - optional, and slow to import

    dimensions = live.dimensions[:_MOST]
    rows = 1 + ceil(len(dimensions) / _COLUMNS)
    figure = matplotlib.figure.Figure(figsize=(4.2 * _COLUMNS, 2.7 * rows), layout="constrained")
    panels = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
    _times(panels[0], live)
    _where(panels[1], live)
    _steps(panels[2], live)
    for panel, row in zip(panels[_COLUMNS:], dimensions, strict=False):
        _trace(panel, live, row.dimension)
    for panel in panels[_COLUMNS + len(dimensions) :]:
        panel.set_visible(False)
    try:
        figure.savefig(
            path, dpi=110, metadata={"Software": None} if path.lower().endswith(".png") else None
        )
    except OSError as error:
        raise Unwritable(
            f"cannot be written: {(error.strerror or str(error)).lower()}", path=path
        ) from None


def _times(panel: Axes, live: Live) -> None:
    steps = [row.steps for row in live.sweep]
    for name, side in (("NORMAL", "normal"), ("REFLOW", "reflow")):
        found = [getattr(row, side) for row in live.sweep]
        middle = [one.median * 1000 for one in found]
        reach = [
            [(one.median - one.low) * 1000 for one in found],
            [(one.high - one.median) * 1000 for one in found],
        ]
        panel.errorbar(
            steps, middle, yerr=reach, label=name, color=_COLORS[name], marker="o", capsize=3
        )
    panel.set(
        title="time of one chunk",
        xlabel="Euler steps",
        ylabel="ms (median, 95 %)",
        ylim=(0, None),
        xticks=steps,
    )
    panel.legend()


def _where(panel: Axes, live: Live) -> None:
    for place, (name, side) in enumerate((("NORMAL", "normal"), ("REFLOW", "reflow"))):
        left = 0.0
        for shade, row in enumerate(live.parts):
            width = getattr(row, side).median * 1000
            panel.barh(
                place,
                width,
                left=left,
                color=_COLORS[name],
                alpha=1 - 0.25 * shade,
                edgecolor="white",
            )
            if width > 0.1 * sum(getattr(one, side).median * 1000 for one in live.parts):
                panel.text(
                    left + width / 2,
                    place,
                    row.part,
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white",
                )
            left += width
    panel.set(
        title=f"where it goes, at {count(live.steps, 'step')}",
        xlabel="ms (medians)",
        yticks=(0, 1),
        yticklabels=("NORMAL", "REFLOW"),
    )


def _steps(panel: Axes, live: Live) -> None:
    steps = [row.steps for row in live.sweep]
    for field, label, name, style in (
        ("straight_normal", "NORMAL to its own", "NORMAL", "-"),
        ("straight_reflow", "REFLOW to its own", "REFLOW", "-"),
        ("apart", "REFLOW to NORMAL", "REFLOW", "--"),
    ):
        distances = [getattr(row, field) for row in live.sweep]
        panel.plot(steps, distances, label=label, color=_COLORS[name], marker="o", linestyle=style)
    panel.set(
        title=f"distance to {steps[-1]} steps, and apart",
        xlabel="Euler steps",
        ylabel="normalized units",
        ylim=(0, None),
        xticks=steps,
    )
    panel.legend(fontsize=8)


def _trace(panel: Axes, live: Live, dimension: int) -> None:
    for name, side in (("NORMAL", live.measurement.normal), ("REFLOW", live.measurement.reflow)):
        for number, chunk in enumerate(side.actions[side.num_steps]):
            values = [step[dimension] for step in chunk]
            label = (
                f"{name}, {count(side.num_steps, 'step')}" if not number and not dimension else None
            )
            panel.plot(
                range(len(values)),
                values,
                color=_COLORS[name],
                alpha=1.0 if not number else 0.35,
                linestyle="-" if name == "NORMAL" else "--",
                label=label,
            )
    panel.set(title=f"action {dimension}", xlabel="step of the chunk")
    panel.locator_params(axis="x", integer=True)
    if not dimension:
        panel.legend(fontsize=8)
