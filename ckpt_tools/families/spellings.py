"""How releases of a library spell the names of a family's tensors, and which of them read which.

A family's file has them in `spellings`, as `tools/families/drift.py` measured them. `*`
stands for a number between dots. What a file's spelling is, only its names decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.names import SEGMENT_LIMIT, is_index
from ckpt_tools.families.family import Unknown
from ckpt_tools.families.family_file import load
from ckpt_tools.families.registry import family_of, named_in_config
from ckpt_tools.families.releases import meant
from ckpt_tools.text import count, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.releases import Target


class Spelling(NamedTuple):
    """One way of naming the tensors of an architecture.

    `written` are the releases that write it, by the way they do: `save_pretrained` of a model that
    was loaded, of a `new` one, or the names of its modules, `state_dict`. `read` are those that
    read it.
    `names` are pairs of a name in the family's first spelling and here, None where tensors are
    grouped otherwise; `own` are the names here, empty where all releases agree on them.
    """

    written: Mapping[str, tuple[str, ...]]
    read: tuple[str, ...]
    names: tuple[tuple[str, str], ...] | None
    own: frozenset[str]


class Spellings(NamedTuple):
    """The spellings of an architecture in the examined `releases` of `library`, oldest first."""

    library: str
    architecture: str
    releases: tuple[str, ...]
    known: tuple[Spelling, ...]


def starred(name: str) -> str:
    """Return a name with `*` for every number between dots."""
    segments = name.split(".", SEGMENT_LIMIT)
    return ".".join("*" if is_index(segment) else segment for segment in segments)


def spellings_of(checkpoint: Checkpoint) -> Spellings | Unknown:
    """Return the spellings of what config.json names; Unknown with the reason where none are."""
    named = named_in_config(checkpoint)
    if named is None:
        return Unknown("its config.json names no model whose names are followed")
    family = load(*named)
    entries = cast("list[dict[str, object]]", family.facts.get("spellings", ()) if family else ())
    architectures = checkpoint.value(CONFIG).get("architectures")
    wanted = architectures[0] if isinstance(architectures, list) and architectures else None
    own = [entry for entry in entries if wanted in (entry["architecture"], None)]
    if not own:
        model = f"{named[1]}{f' ({wanted})' if wanted else ''}"
        return Unknown(f"the names of {printable(model)} were not followed from release to release")
    first = own[0]["architecture"]
    return Spellings(
        named[0],
        str(first or named[1]),
        tuple(cast("list[str]", own[0]["releases"])),
        tuple(_spelling(entry) for entry in own if entry["architecture"] == first),
    )


def _spelling(entry: Mapping[str, object]) -> Spelling:
    pairs = cast("list[tuple[str, str]]", entry.get("names", ()))
    regrouped = cast("list[str]", entry.get("regrouped", ()))
    written = cast("dict[str, list[str]]", entry["written"])
    return Spelling(
        {form: tuple(releases) for form, releases in written.items()},
        tuple(cast("list[str]", entry["read"])),
        None if regrouped else tuple((old, new) for old, new in pairs),
        frozenset(regrouped or (new for _, new in pairs)),
    )


def spelling_of(names: Iterable[str], known: Spellings) -> Spelling | Unknown:
    """Return the spelling that these names follow; Unknown where some are in none."""
    mine = {starred(name): name for name in names}
    best = _closest(mine.keys(), known)
    strange = [name for short, name in mine.items() if short not in best.own]
    return _strange(strange, known) if strange else best


def _closest(names: Collection[str], known: Spellings) -> Spelling:
    """Return the spelling with the fewest strange names, and of these with the fewest others."""
    mine = set(names)
    return min(known.known, key=lambda one: (len(mine - one.own), len(one.own - mine)))


def names_of_modules(checkpoint: Checkpoint, names: Collection[str]) -> Iterator[dict[str, str]]:
    """Yield what examined releases call these tensors of a file in the model itself, by name.

    Only where that differs from the file's names, and is a matter of names. What no spelling has
    is left out.
    """
    known = spellings_of(checkpoint)
    if isinstance(known, Unknown):
        return
    mine = _closest({starred(name) for name in names}, known)
    there = {here: first for first, here in mine.names or ()}
    for one in known.known:
        if one is not mine and "state_dict" in one.written and one.names:
            theirs = dict(one.names)
            onward = {here: theirs[first] for here, first in there.items()}
            yield {
                name: _filled(onward[starred(name)], name)
                for name in names
                if starred(name) in onward
            }


class Readability(NamedTuple):
    """Which of the examined releases of a library read a file, judged by its names."""

    library: str
    read: tuple[str, ...]
    unread: tuple[str, ...]
    written: Mapping[str, tuple[str, ...]]


def readability(checkpoint: Checkpoint) -> Readability | Unknown:
    """Return which releases read a checkpoint; Unknown with the reason where that is not known."""
    known = spellings_of(checkpoint)
    if isinstance(known, Unknown):
        return known
    mine = _spelling_in(checkpoint, known)
    if isinstance(mine, Unknown):
        return mine
    unread = tuple(one for one in known.releases if one not in mine.read)
    return Readability(known.library, mine.read, unread, mine.written)


def _spelling_in(checkpoint: Checkpoint, known: Spellings) -> Spelling | Unknown:
    """Return the spelling of a checkpoint's names; those that never changed must be expected."""
    names = [tensor.name for tensor in checkpoint.tensors]
    if len(known.known) > 1:
        return spelling_of(names, known)
    expected = family_of(checkpoint).expected(checkpoint)
    if isinstance(expected, Unknown):
        return expected
    tied = {name for tie in expected.ties for name in tie}
    lawful = {*expected.tensors, *expected.optional, *tied}
    strange = [name for name in names if name not in lawful]
    if strange:
        return _strange(strange, known)
    return known.known[0]


def _strange(names: Sequence[str], known: Spellings) -> Unknown:
    return Unknown(
        f"{count(len(names), 'name')} in no examined release's {known.architecture},"
        f" {printable(names[0])} for one"
    )


def conversion(checkpoint: Checkpoint, target: Target) -> Mapping[str, str] | Unknown:
    """Return the new name of every tensor that a target spells otherwise; Unknown if impossible.

    None changes where the target reads the names as they are. Of the spellings that it reads, the
    one that most releases read.
    """
    known = spellings_of(checkpoint)
    if isinstance(known, Unknown):
        return known
    if target.library != known.library:
        return Unknown(f"it is a model of {known.library}, not of {target.library}")
    releases = meant(target, known.releases)
    if not releases:
        return Unknown(f"no such release was examined; those are {', '.join(known.releases)}")
    mine = _spelling_in(checkpoint, known)
    if isinstance(mine, Unknown) or set(releases) <= set(mine.read):
        return mine if isinstance(mine, Unknown) else {}
    readable = [one for one in known.known if set(releases) <= set(one.read) and one.names]
    if not readable:
        return Unknown(f"{' and '.join(releases)} read no names in common: name one of them")
    best = max(readable, key=lambda one: len(one.read))
    return converted([tensor.name for tensor in checkpoint.tensors], mine, best)


def converted(names: Sequence[str], old: Spelling, new: Spelling) -> Mapping[str, str] | Unknown:
    """Return the new name of every tensor whose name changes; Unknown where that is impossible.

    The way back gives the same names: two names never become one.
    """
    if old.names is None or new.names is None:
        return Unknown("tensors are split or stacked between the two: new names are not enough")
    there = {mine: first for first, mine in old.names}
    onward = dict(new.names)
    found: dict[str, str] = {}
    for name in names:
        template = onward.get(there.get(starred(name), ""))
        if template is None:
            return Unknown(f"{printable(name)} has no counterpart there")
        found[name] = _filled(template, name)
    if len(set(found.values())) < len(found):
        return Unknown("two tensors would get one name")
    return {name: other for name, other in found.items() if name != other}


def _filled(template: str, name: str) -> str:
    """Return a template with the numbers of a name."""
    numbers = iter([segment for segment in name.split(".", SEGMENT_LIMIT) if is_index(segment)])
    return ".".join(next(numbers) if segment == "*" else segment for segment in template.split("."))
