"""Draws what `ckpt doctor` measured: times by number of steps, and what both policies do.

The only module that imports matplotlib.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from math import ceil
from typing import TYPE_CHECKING, Any

from ckpt_tools.errors import OutputInside, PlotMissing, Unwritable
from ckpt_tools.text import count

if TYPE_CHECKING:
    from ckpt_tools.doctor.model import Live

KINDS = (".png", ".svg", ".pdf")
_COLOURS = {"NORMAL": "#4d4d4d", "REFLOW": "#1f77b4"}
_MOST, _COLUMNS = 14, 3
"""Dimensions that are drawn, and pictures beside each other."""


def check(path: str) -> None:
    """Raise, before anything is measured, what would keep a picture from being written to `path`.

    PlotMissing, OutputInside or Unwritable.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotMissing("--plot needs matplotlib, which is not installed")
    if not path.lower().endswith(KINDS):
        raise OutputInside(
            f"is none of {', '.join(KINDS)}, by its name", path=path, hint="name a picture"
        )
    folder = os.path.split(path)[0] or "."
    if not os.path.isdir(folder) or os.path.isdir(path):
        raise Unwritable(
            "is a folder"
            if os.path.isdir(path)
            else f"cannot be written: there is no folder {folder}",
            path=path,
            hint="name a file in a folder that is there",
        )


def draw(live: Live, path: str) -> None:
    """Write the picture to `path`, in the format that its ending names. Raises Unwritable."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    plt = importlib.import_module("matplotlib.pyplot")
    dimensions = live.dimensions[:_MOST]
    rows = 1 + ceil(len(dimensions) / _COLUMNS)
    figure, axes = plt.subplots(
        rows, _COLUMNS, figsize=(4.2 * _COLUMNS, 2.7 * rows), squeeze=False, layout="constrained"
    )
    panels = list(axes.flat)
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
    finally:
        plt.close(figure)


def _times(panel: Any, live: Live) -> None:  # noqa: ANN401 - matplotlib is imported late
    steps = [row.steps for row in live.sweep]
    for name, side in (("NORMAL", "normal"), ("REFLOW", "reflow")):
        found = [getattr(row, side) for row in live.sweep]
        middle = [one.median * 1000 for one in found]
        reach = [
            [(one.median - one.low) * 1000 for one in found],
            [(one.high - one.median) * 1000 for one in found],
        ]
        panel.errorbar(
            steps, middle, yerr=reach, label=name, color=_COLOURS[name], marker="o", capsize=3
        )
    panel.set(
        title="time of one chunk",
        xlabel="Euler steps",
        ylabel="ms (median, 95 %)",
        ylim=(0, None),
        xticks=steps,
    )
    panel.legend()


def _where(panel: Any, live: Live) -> None:  # noqa: ANN401 - matplotlib is imported late
    for place, (name, side) in enumerate((("NORMAL", "normal"), ("REFLOW", "reflow"))):
        left = 0.0
        for shade, row in enumerate(live.parts):
            width = getattr(row, side).median * 1000
            panel.barh(
                place,
                width,
                left=left,
                color=_COLOURS[name],
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


def _steps(panel: Any, live: Live) -> None:  # noqa: ANN401 - matplotlib is imported late
    steps = [row.steps for row in live.sweep]
    panel.plot(
        steps,
        [row.straight_normal for row in live.sweep],
        label="NORMAL to its own",
        color=_COLOURS["NORMAL"],
        marker="o",
    )
    panel.plot(
        steps,
        [row.straight_reflow for row in live.sweep],
        label="REFLOW to its own",
        color=_COLOURS["REFLOW"],
        marker="o",
    )
    panel.plot(
        steps,
        [row.apart for row in live.sweep],
        label="REFLOW to NORMAL",
        color=_COLOURS["REFLOW"],
        marker="o",
        linestyle="--",
    )
    panel.set(
        title=f"distance to {steps[-1]} steps, and apart",
        xlabel="Euler steps",
        ylabel="normalised units",
        ylim=(0, None),
        xticks=steps,
    )
    panel.legend(fontsize=8)


def _trace(panel: Any, live: Live, dimension: int) -> None:  # noqa: ANN401 - matplotlib is imported late
    for name, side in (("NORMAL", live.measurement.normal), ("REFLOW", live.measurement.reflow)):
        for number, chunk in enumerate(side.actions[side.num_steps]):
            values = [step[dimension] for step in chunk]
            label = (
                f"{name}, {count(side.num_steps, 'step')}" if not number and not dimension else None
            )
            panel.plot(
                range(len(values)),
                values,
                color=_COLOURS[name],
                alpha=1.0 if not number else 0.35,
                linestyle="-" if name == "NORMAL" else "--",
                label=label,
            )
    panel.set(title=f"action {dimension}", xlabel="step of the chunk")
    panel.xaxis.get_major_locator().set_params(integer=True)
    if not dimension:
        panel.legend(fontsize=8)
