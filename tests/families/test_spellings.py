"""Names in old and new releases: which spelling a file has, who reads it, and the way between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint.read import read
from ckpt_tools.edit.operations import RenameTensors
from ckpt_tools.families.family import Unknown
from ckpt_tools.families.releases import Target, meant, target_of
from ckpt_tools.families.spellings import (
    Readability,
    Spelling,
    Spellings,
    converted,
    readability,
    spelling_of,
)
from tests.support.ckpt_process import ckpt
from tests.support.models import model
from tools.families.drift_page import page
from tools.families.spellings import measurements

if TYPE_CHECKING:
    from pathlib import Path

RELEASES = ("4.51.3", "4.57.6", "5.0.0", "5.5.4", "5.24.0")
ENTRIES = [
    (family, entry) for family, entries in measurements()["families"].items() for entry in entries
]
MANY = sorted({(family, entry["architecture"]) for family, entry in ENTRIES if entry.get("names")})


def known(family: str, architecture: str) -> Spellings:
    own = [
        entry for name, entry in ENTRIES if (name, entry["architecture"]) == (family, architecture)
    ]
    return Spellings(
        "transformers",
        architecture,
        tuple(own[0]["releases"]),
        tuple(
            Spelling(
                entry["written"],
                tuple(entry["read"]),
                None if "regrouped" in entry else tuple(map(tuple, entry["names"])),
                frozenset(entry.get("regrouped") or (new for _, new in entry["names"])),
            )
            for entry in own
        ),
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("transformers==5.24", Target("transformers", "==", "5.24")),
        ("transformers<4.52", Target("transformers", "<", "4.52")),
        ("lerobot >= 0.6.1", Target("lerobot", ">=", "0.6.1")),
        ("lerobot", None),
        ("transformers=5", None),
        ("transformers==5.x", None),
    ],
)
def test_a_release_is_written_as_for_pip(text: str, found: Target | None) -> None:
    assert target_of(text) == found


@pytest.mark.parametrize(
    ("text", "releases"),
    [
        ("transformers==5.24", ("5.24.0",)),
        ("transformers==4.51", ("4.51.3",)),
        ("transformers<4.52", ("4.51.3",)),
        ("transformers<=5.0.0", ("4.51.3", "4.57.6", "5.0.0")),
        ("transformers>=5.5", ("5.5.4", "5.24.0")),
        ("transformers>5.5.4", ("5.24.0",)),
        ("transformers==5.10", ("5.5.4", "5.24.0")),
        ("transformers==4.9", ()),
        ("transformers==6.0", ()),
    ],
)
def test_a_release_between_examined_ones_is_both_of_them(
    text: str, releases: tuple[str, ...]
) -> None:
    target = target_of(text)

    assert target is not None
    assert meant(target, RELEASES) == releases


@pytest.mark.parametrize(("family", "architecture"), MANY)
@settings(max_examples=25)
@given(data=st.data())
def test_names_come_back_as_they_were(family: str, architecture: str, data: st.DataObject) -> None:
    of = known(family, architecture)
    plain = [one for one in of.known if one.names]
    old, new = (data.draw(st.sampled_from(plain)) for _ in range(2))
    layers = data.draw(st.integers(1, 3))
    names = sorted({name.replace("*", str(n)) for name in old.own for n in range(layers)})

    there = converted(names, old, new)
    assert not isinstance(there, Unknown)
    after = [there.get(name, name) for name in names]
    back = converted(after, new, old)

    assert not isinstance(back, Unknown)
    assert [back.get(name, name) for name in after] == names
    assert len(set(after)) == len(names)
    assert spelling_of(after, of) in (new, *(one for one in plain if one.own == new.own))


def test_a_tensor_without_a_counterpart_is_named() -> None:
    of = known(*MANY[0])
    old, new = [one for one in of.known if one.names][:2]
    names = [name.replace("*", "0") for name in old.own]

    found = converted([*names, "my.head.weight"], old, new)

    assert found == Unknown("my.head.weight has no counterpart there")


def test_the_page_is_what_was_measured() -> None:
    with open("docs/families-drift.md", encoding="utf-8") as file:
        assert file.read() == page(measurements())


TOWER = ("siglip_vision_model", "SiglipVisionModel")


def tower(tmp_path: Path, place: int, *extra: str) -> Path:
    """Write a file in one of the spellings of a vision tower."""
    of = known(f"transformers/{TOWER[0]}", TOWER[1])
    names = [name.replace("*", str(n)) for name in sorted(of.known[place].own) for n in range(2)]
    config = {"model_type": TOWER[0], "architectures": [TOWER[1]]}
    return model(
        tmp_path / f"tower-{place}",
        dict.fromkeys([*names, *extra], (3, 3)),
        {"config.json": config},
    )


def test_a_file_of_the_newest_release_is_not_read_by_older_ones(tmp_path: Path) -> None:
    old, new = (readability(read(str(tower(tmp_path, place)))) for place in (0, 1))

    assert isinstance(old, Readability)
    assert isinstance(new, Readability)
    assert (old.read, old.unread) == (RELEASES, ())
    assert (new.read, new.unread) == (RELEASES[-1:], RELEASES[:-1])


def test_a_file_is_converted_and_comes_back_byte_for_byte(tmp_path: Path) -> None:
    before = tower(tmp_path, 1)

    plan = api.convert_names(before, "transformers<5.5")
    api.write(plan, tmp_path / "old")
    found = readability(read(str(tmp_path / "old")))
    back = api.plan(
        tmp_path / "old",
        [
            RenameTensors(one.to, one.match)
            for one in reversed(plan.operations)
            if isinstance(one, RenameTensors)
        ],
    )
    api.write(back, tmp_path / "back")

    assert isinstance(found, Readability)
    assert found.read == RELEASES
    assert api.diff(before, tmp_path / "back", values=True, cached=False).same
    api.write(api.convert_names(tmp_path / "back", "transformers<5.5"), tmp_path / "again")
    again, old = (tmp_path / name / "model.safetensors" for name in ("again", "old"))
    assert again.read_bytes() == old.read_bytes()


def test_nothing_is_planned_where_the_target_reads_the_names(tmp_path: Path) -> None:
    assert not api.convert_names(tower(tmp_path, 0), "transformers==5.24").steps


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("lerobot==0.6", "a model of transformers, not of lerobot"),
        ("transformers==3.0", "no such release was examined"),
        ("transformers", "names no release"),
    ],
)
def test_a_target_that_is_none_is_refused(tmp_path: Path, target: str, words: str) -> None:
    with pytest.raises(Exception, match=words):
        api.convert_names(tower(tmp_path, 0), target)


def test_an_unknown_tensor_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"my\.head\.weight"):
        api.convert_names(tower(tmp_path, 1, "my.head.weight"), "transformers<5.5")


def test_the_command_line_says_who_reads_a_file_and_converts_it(tmp_path: Path) -> None:
    before = tower(tmp_path, 1)
    old = tmp_path / "old"

    shown = ckpt("show", before, "--readable-by")
    renamed = ckpt("rename", before, "--target", "transformers==5.5.4", "-o", old)
    after = ckpt("show", old, "--readable-by", "--format", "json")

    assert "read by transformers 5.24.0" in shown.stdout
    assert "not read by transformers 4.51.3, 4.57.6, 5.0.0, 5.5.4" in shown.stdout
    assert renamed.code == 0
    assert json.loads(after.stdout)["readable_by"]["releases"] == list(RELEASES)
