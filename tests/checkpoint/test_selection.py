"""Globs over dotted addresses, as documented.

`*` a part of one segment, `**` any number of segments, `?` one character.

itself      a literal address selects itself, and as a glob nothing else
ignore      what is ignored is never in a selection, whatever is selected
every       `**` selects every address
dots        `*` and `?` never match across a dot
"""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ckpt_tools.checkpoint.names import EVERYTHING, Selection, glob_to_regex, value_address
from ckpt_tools.strict_json.parse import escape

text = st.text(alphabet=st.sampled_from("ab01._-/[]{}()+^$|\\ \n~é*?"), max_size=12)


def selects(glob: str, address: str) -> bool:
    return address in Selection((glob,))


def escapes(glob: str) -> bool:
    """Whether a character of the glob is in brackets, which it does not match."""
    return any(f"[{character}]" in glob for character in "*?[")


@given(text)
@example("[")
def test_an_address_as_a_glob_selects_itself(address: str) -> None:
    assume(not escapes(address))
    assert selects(address, address)


@given(text, text)
@example("[", "[[]")
def test_an_address_without_wildcards_selects_nothing_else(glob: str, address: str) -> None:
    assume("*" not in glob)
    assume("?" not in glob)
    assume(not escapes(glob))
    assert selects(glob, address) == (glob == address)


@given(st.text())
def test_every_address_is_selected_by_two_stars_and_by_no_glob_at_all(address: str) -> None:
    assert selects("**", address)
    assert address in EVERYTHING
    assert address not in Selection((), ("**",))


@given(text, text)
def test_what_is_ignored_is_not_selected(glob: str, address: str) -> None:
    both = Selection(("**", glob), (glob,))
    assert (address in both) == (not selects(glob, address))


@given(text)
def test_one_star_stays_inside_a_segment(address: str) -> None:
    assert selects("*", address) == ("." not in address)
    assert selects("?", address) == (len(address) == 1 and address != ".")


@given(st.lists(text.filter(lambda part: "." not in part), min_size=1, max_size=5))
def test_as_many_stars_as_segments_select_the_address(segments: list[str]) -> None:
    address = ".".join(segments)
    assert selects(".".join("*" * len(segments)), address)
    assert not selects(".".join("*" * (len(segments) + 1)), address)


@pytest.mark.parametrize(
    ("glob", "chosen", "left"),
    [
        (
            "model.**.weight",
            ["model.weight", "model.a.weight", "model.a.0.weight"],
            ["model.a.bias", "xmodel.weight", "model.xweight", "model"],
        ),
        ("model.**", ["model", "model.a", "model.a.b"], ["models.a", "a.model"]),
        ("**.weight", ["weight", "a.weight", "a.b.weight"], ["aweight", "a.weights", "weight.a"]),
        (
            "layers.*.weight",
            ["layers.0.weight", "layers..weight", "layers.ab.weight"],
            ["layers.weight", "layers.0.a.weight"],
        ),
        ("layers.?.weight", ["layers.0.weight"], ["layers.10.weight", "layers..weight"]),
        ("*_proj.weight", ["q_proj.weight", "_proj.weight"], ["a.q_proj.weight", "q_proj.bias"]),
        ("**.q_*.**", ["q_proj", "a.q_proj.weight", "a.b.q_.c.d"], ["a.kq_proj.weight"]),
        ("**.lm_expert.**", ["model.lm_expert.layers.0.w", "lm_expert"], ["model.lm_experts.w"]),
        (
            "config.*",
            ["config.use_reflow"],
            ["train_config.use_reflow", "config.input_features.a", "config"],
        ),
        ("config.**", ["config.use_reflow", "config.input_features.a", "config"], ["configs.a"]),
        ("model.safetensors", ["model.safetensors"], ["modelxsafetensors"]),
        ("**.**", ["a", "a.b", "a.b.c"], []),
        ("a.**.**.b", ["a.b", "a.x.b", "a.x.y.b"], ["a.xb"]),
        ("", [""], ["a", "."]),
        ("[a-z]", ["[a-z]"], ["b"]),
        ("a{0,1}", ["a{0,1}"], ["a0", "a"]),
    ],
)
def test_globs_match_as_documented(glob: str, chosen: list[str], left: list[str]) -> None:
    assert [address for address in chosen if not selects(glob, address)] == []
    assert [address for address in left if selects(glob, address)] == []


def test_several_globs_are_alternatives() -> None:
    selection = Selection(("a", "b.*"), ("b.c", "**.d"))
    assert [address for address in ("a", "b.a", "b.c", "b.d", "c") if address in selection] == [
        "a",
        "b.a",
    ]


def test_a_glob_of_many_stars_is_fast() -> None:
    """No catastrophic backtracking for what a person may type."""
    assert glob_to_regex("**.a.**.b.**.c").fullmatch("a.b." * 60) is None


@pytest.mark.parametrize(
    ("path", "pointer", "address"),
    [
        ("config.json", "/use_reflow", "config.use_reflow"),
        ("train_config.json", "/policy/device", "train_config.policy.device"),
        ("config.json", "", "config"),
        ("__metadata__", "/format", "__metadata__.format"),
        ("s.safetensors", "/action.mean", "s.safetensors.action.mean"),
        ("config.json", "/a~1b/c~0d", "config.a/b.c~d"),
        ("config.json", "/~01", "config.~1"),
        ("config.json", "/", "config."),
    ],
)
def test_a_value_is_addressed_by_its_file_and_its_keys(
    path: str, pointer: str, address: str
) -> None:
    assert value_address(path, pointer) == address


@given(st.lists(st.text(), max_size=4))
def test_keys_round_trip_through_a_pointer(keys: list[str]) -> None:
    pointer = "".join(f"/{escape(key)}" for key in keys)
    assert value_address("config.json", pointer) == ".".join(["config", *keys])
