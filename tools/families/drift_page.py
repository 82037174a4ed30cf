"""The page `docs/families-drift.md`, from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckpt_tools.diff.rename_patterns import beginnings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

type Json = dict[str, Any]

_HEAD = """# Names that changed between releases

Written by `python -m tools.families.drift`; do not edit.

Each release ran in a folder of its own. The oldest saved a toy model of every architecture; every
other release loaded that file and saved it anew, and then each was given every spelling to read.
Tensors were matched by their bytes. A spelling counts as read if no tensor was missing, left over
or of another shape, and the loaded values were the ones that had been saved.

Columns say which releases write a spelling: `save_pretrained` of a model that was loaded from the
oldest file, `save_pretrained` of a model that the release itself built, and the names of its
modules, which LeRobot and other training code saves, and which an adapter's targets name.

`ckpt show WHERE --readable-by` looks a file up here, and `ckpt rename WHERE --target RELEASE`
converts it; see [Changing a checkpoint](editing.md#names-of-another-release).
"""


def page(measured: Json) -> str:
    """Return the page."""
    families: Mapping[str, list[Json]] = measured["families"]
    toys = {
        (family, architecture): [one for one in entries if one["architecture"] == architecture]
        for family, entries in families.items()
        for architecture in dict.fromkeys(one["architecture"] for one in entries)
    }
    changed = {toy: entries for toy, entries in toys.items() if len(entries) > 1}
    changed = dict(sorted(changed.items(), key=lambda one: one[0][0].startswith("lerobot/")))
    lines = [_HEAD, f"Examined: {', '.join(measured['releases'])}.", "", "## Unchanged", ""]
    lines += ["One spelling, written and read by all examined releases that have the model:", ""]
    lines += [
        f"- {family.partition('/')[2]}: {architecture} ({_span(entries[0]['releases'])})"
        if architecture
        else f"- {family} ({_span(entries[0]['releases'])}; not run)"
        for (family, architecture), entries in toys.items()
        if len(entries) == 1
    ]
    for (family, architecture), entries in changed.items():
        title = f"{family.partition('/')[2]}: {architecture}" if architecture else family
        lines += ["", f"## {title}", "", *(_READ if architecture is None else ()), *_table(entries)]
        lines += [line for entry in entries[1:] for line in _changes(entry, entries)]
    return "\n".join(lines) + "\n"


_READ = (
    "This was not run. 0.3.3 translates the first spelling, that of",
    "transformers before 4.52; later releases do not, and act with random weights.",
    "",
)

_FORMS = ("save_pretrained", "new", "state_dict")


def _table(entries: Sequence[Json]) -> Iterator[str]:
    yield "| spelling | saved after loading | saved new | `state_dict` | read by | not read by |"
    yield "|---|---|---|---|---|---|"
    for place, entry in enumerate(entries):
        unread = [one for one in entry["releases"] if one not in entry["read"]]
        cells = (
            _letter(place),
            *(", ".join(entry["written"].get(form, ())) for form in _FORMS),
            ", ".join(entry["read"]),
            ", ".join(unread),
        )
        yield f"| {' | '.join(cells)} |"


def _changes(entry: Json, entries: Sequence[Json]) -> Iterator[str]:
    letter = _letter(entries.index(entry))
    yield ""
    if "regrouped" in entry:
        yield f"{letter} splits or stacks tensors of A: {entry['tensors']} instead of"
        yield f"{entries[0]['tensors']}. New names alone do not convert it."
        return
    pairs = [(old, new) for old, new in entry["names"] if old != new]
    yield f"From A to {letter}, {len(pairs)} of {len(entry['names'])} kinds of names change:"
    yield ""
    yield from (f"- `{old}` -> `{new}`" for old, new in _beginnings(entry["names"]))


def _beginnings(pairs: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """Return the changed pairs without the ends that they share, each once."""
    shorts = dict.fromkeys(beginnings(old, new) for old, new in pairs if old != new)
    return [(f"{old}.**".lstrip("."), f"{new}.**".lstrip(".")) for old, new in shorts]


def _letter(place: int) -> str:
    return "ABCDEFGHIJ"[place]


def _span(releases: Sequence[str]) -> str:
    return releases[0] if len(releases) == 1 else f"{releases[0]} to {releases[-1]}"
