"""The plot of a comparison: success or error by number of steps. Only this imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = "matplotlib is not installed, so there is no plot"


def draw(document: Mapping[str, Any], files: list[Path]) -> bool:
    """Write the plot to each file, in the format of its suffix; False without matplotlib."""
    if find_spec("matplotlib") is None:
        return False
    import matplotlib.figure  # noqa: PLC0415 - optional, and slow to import

    # Without a random salt, the date and the version, the same numbers give the same file.
    with matplotlib.rc_context({"svg.hashsalt": "comparison"}):
        figure = _figure(document)
        for file in files:
            metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
            figure.savefig(file, dpi=120, metadata=metadata)
    return True


def _figure(document: Mapping[str, Any]) -> Figure:
    """The figure: a curve with intervals per policy."""
    import matplotlib.figure  # noqa: PLC0415 - as above

    figure = matplotlib.figure.Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    success = document["mode"] == "environment"
    field, value = ("success", "rate") if success else ("error", "mean")
    rows = [row for row in document["rows"] if row[field] and row["steps"]]
    names = list(dict.fromkeys(row["policy"] for row in rows))
    for place, name in enumerate(names):
        own = sorted((row for row in rows if row["policy"] == name), key=lambda row: row["steps"])
        middle = [row[field][value] for row in own]
        reach = [
            [abs(row[field]["interval"][side] - row[field][value]) for row in own]
            for side in (0, 1)
        ]
        # Side by side, so that intervals do not hide each other.
        steps = [row["steps"] * 1.04 ** (place - (len(names) - 1) / 2) for row in own]
        axes.errorbar(steps, middle, yerr=reach, label=name, marker="o", capsize=3)
    ticks = sorted({row["steps"] for row in rows})
    axes.set_xscale("log")
    axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set(
        xlabel="sampling steps",
        ylabel="success rate (95 %)" if success else "distance to the reference (95 %)",
        ylim=(0, 1.02) if success else (0, None),
    )
    axes.legend(fontsize=8)
    return figure
