"""Which releases read a file, as blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools import shell
from ckpt_tools.families.family import Unknown
from ckpt_tools.report.blocks import Heading, Line, Status
from ckpt_tools.rules.remedy import as_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.families.spellings import Readability
    from ckpt_tools.report.blocks import Block

_FORMS = {
    "save_pretrained": "saved after loading",
    "new": "saved new",
    "state_dict": "state_dict",
}


def readable_blocks(found: Readability | Unknown | None, where: str) -> Iterator[Block]:
    """Yield who reads the tensors' names and who writes them; nothing where nobody asked."""
    if found is None:
        return
    yield Heading(text="Releases that read it")
    if isinstance(found, Unknown):
        yield Line(text=f"not known: {found.reason}")
        return
    library = found.library
    for releases in dict.fromkeys(found.written.values()):
        forms = [_FORMS[form] for form, of in found.written.items() if of == releases]
        how = "" if len(forms) == len(_FORMS) else f" ({', '.join(forms)})"
        yield Line(text=f"written by {library} {_listed(releases)}{how}")
    if found.read:
        yield Line(text=f"read by {library} {_listed(found.read)}", mark=Status.GOOD)
    if found.unread:
        details = []
        if found.read:
            target = f"'{library}=={found.unread[-1]}'"
            details = [f"ckpt rename {shell.quote(as_path(where))} --target {target}"]
        yield Line(
            text=f"not read by {library} {_listed(found.unread)}: it finds other names",
            mark=Status.BAD,
            details=tuple(details),
        )


def _listed(releases: Sequence[str]) -> str:
    return ", ".join(releases)
