"""Answers of a library: asked once, remembered by config and versions, and never believed blindly.

The library is a stand-in here; tests/probes asks the real ones.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.spec import text, write_spec
from ckpt_tools.cli.main import main
from ckpt_tools.errors import BaseMissing, LibraryMissing, NothingAnswered, ProbeFailed
from ckpt_tools.live import tensors as live
from ckpt_tools.live import versions
from ckpt_tools.rules.coverage import Question, State
from ckpt_tools.storage.schemas import load
from tests.support.models import model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ckpt_tools.rules.finding import Verification

CONFIG = {"model_type": "novel", "architectures": ["NovelModel"]}
SHAPES: dict[str, tuple[int, ...]] = {"embed.weight": (8, 4), "norm.weight": (4,)}
ANSWER: dict[str, Any] = {
    "tensors": {name: ["F32", *shape] for name, shape in SHAPES.items()},
    "ties": [["embed.weight", "head.weight"]],
    "reads": {},
    "spared": [],
    "used": [],
}


class Library:
    """Stands for the probe's process: counts what it is asked."""

    def __init__(self) -> None:
        self.requests: list[Mapping[str, Any]] = []
        self.answer: dict[str, Any] = ANSWER

    def ask(self, request: Mapping[str, Any], *_: object, **__: object) -> dict[str, Any]:
        self.requests.append(request)
        return self.answer


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Library:
    """An installed transformers 9.9 that has the model `novel`, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(versions, "distribution", distributions({"transformers": "9.9"}))
    found = Library()
    monkeypatch.setattr(live, "ask", found.ask)
    return found


def distributions(found: Mapping[str, str], origin: str = "") -> Callable[[str], Any]:
    """Return a stand-in for `importlib.metadata.distribution`; torch is always there."""

    class Distribution:
        def __init__(self, name: str) -> None:
            self.name, self.version = name, {"torch": "2.0", **found}[name]

        def read_text(self, _: str) -> str:
            return origin

    def distribution(name: str) -> Distribution:
        if name not in {"torch", *found}:
            raise PackageNotFoundError(name)
        return Distribution(name)

    return distribution


def states(found: Verification) -> dict[str, State]:
    return {str(one.question): one.state for one in found.coverage}


def codes(found: Verification) -> set[str]:
    return {one.code for one in found.findings if one.severity != "note"}


# --- what verify makes of them --------------------------------------------------------------------


def test_a_checkpoint_as_the_library_writes_it_is_complete_and_agrees(
    library: Library, tmp_path: Path
) -> None:
    found = api.verify(model(tmp_path / "m", SHAPES, {"config.json": CONFIG}), live=True)
    assert codes(found) == set()
    assert states(found)["completeness"] == states(found)["agreement"] == State.CHECKED
    assert len(library.requests) == 1


def test_without_the_option_the_coverage_names_it(library: Library, tmp_path: Path) -> None:
    found = api.verify(model(tmp_path / "m", SHAPES, {"config.json": CONFIG}))
    options = {one.question: one.options for one in found.coverage}
    assert options[Question.COMPLETENESS][0] == options[Question.AGREEMENT][0] == "--live"
    assert library.requests == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda held: held.pop("norm.weight"), "CK305"),
        (lambda held: held.update({"norm.bias": (4,)}), "CK306"),
        (lambda held: held.update({"norm.weight": (5,)}), "CK307"),
    ],
)
@pytest.mark.usefixtures("library")
def test_what_differs_from_the_library_is_found(
    change: Callable[[dict[str, Any]], object], code: str, tmp_path: Path
) -> None:
    held: dict[str, Any] = dict(SHAPES)
    change(held)
    found = api.verify(model(tmp_path / "m", held, {"config.json": CONFIG}), live=True)
    assert codes(found) == {code}


@pytest.mark.usefixtures("library")
def test_of_a_tied_tensor_either_name_is_enough(tmp_path: Path) -> None:
    held = {"head.weight": (8, 4), "norm.weight": (4,)}
    found = api.verify(model(tmp_path / "m", held, {"config.json": CONFIG}), live=True)
    assert codes(found) == set()


def test_a_name_that_the_loader_takes_for_another_is_no_finding(
    library: Library, tmp_path: Path
) -> None:
    library.answer = ANSWER | {"reads": {"model.norm.gamma": ["norm.weight"], "old.buffer": []}}
    held = {"embed.weight": (8, 4), "model.norm.gamma": (4,), "old.buffer": (3,)}
    found = api.verify(model(tmp_path / "m", held, {"config.json": CONFIG}), live=True)
    assert codes(found) == set()
    held["model.norm.gamma"] = (5,)
    found = api.verify(model(tmp_path / "n", held, {"config.json": CONFIG}), live=True)
    assert codes(found) == {"CK307"}


# --- what is remembered ---------------------------------------------------------------------------


def test_a_second_look_asks_nothing(library: Library, tmp_path: Path) -> None:
    folder = model(tmp_path / "m", SHAPES, {"config.json": CONFIG})
    assert api.spec(folder, live=True) == api.spec(folder, live=True)
    api.verify(folder, live=True)
    assert len(library.requests) == 1


def test_another_config_version_or_local_copy_is_another_question(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(tmp_path / "m", SHAPES, {"config.json": CONFIG})
    api.spec(folder, live=True)
    other = model(tmp_path / "n", SHAPES, {"config.json": CONFIG | {"size": 1}})
    api.spec(other, live=True)
    api.spec(folder, live=True, base=[f"example/base={tmp_path}"])
    monkeypatch.setattr(versions, "distribution", distributions({"transformers": "9.10"}))
    api.spec(folder, live=True)
    assert len(library.requests) == 4


def test_a_library_installed_from_a_folder_is_asked_every_time(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = json.dumps({"url": "file:///code", "dir_info": {"editable": True}})
    monkeypatch.setattr(versions, "distribution", distributions({"transformers": "9.9"}, origin))
    folder = model(tmp_path / "m", SHAPES, {"config.json": CONFIG})
    api.spec(folder, live=True)
    api.spec(folder, live=True)
    assert len(library.requests) == 2


@pytest.mark.parametrize("damage", [b"", b"not a cache file\n", None])
def test_a_broken_cache_file_is_ignored_and_written_again(
    damage: bytes | None, library: Library, tmp_path: Path
) -> None:
    folder = model(tmp_path / "m", SHAPES, {"config.json": CONFIG})
    api.spec(folder, live=True)
    (file,) = (tmp_path / "cache" / "ckpt-tools" / "live").iterdir()
    good = file.read_bytes()
    file.write_bytes(good[:-9] if damage is None else damage)
    api.spec(folder, live=True)
    assert len(library.requests) == 2
    assert file.read_bytes() == good
    api.spec(folder, live=True)
    assert len(library.requests) == 2


def test_an_answer_holds_as_long_as_the_files_that_were_read_for_it(
    library: Library, tmp_path: Path
) -> None:
    base = tmp_path / "base.json"
    base.write_text("{}", encoding="utf-8")
    library.answer = ANSWER | {"used": [str(base)]}
    folder = model(tmp_path / "m", SHAPES, {"config.json": CONFIG})
    for _ in range(2):
        api.spec(folder, live=True)
    assert len(library.requests) == 1
    base.write_text('{"hidden_size": 1}', encoding="utf-8")
    api.spec(folder, live=True)
    assert len(library.requests) == 2


# --- what it cannot answer ------------------------------------------------------------------------


def test_a_library_that_is_not_installed_is_named_with_what_brings_it(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "distribution", distributions({}))
    features: dict[str, object] = {"input_features": {}, "output_features": {}}
    for config, how in (
        (CONFIG, "pip install transformers"),
        ({"type": "pi05", **features}, 'pip install "lerobot[pi]"'),
        ({"type": "acme", **features}, "pip install lerobot, and the plugin that has acme"),
        ({"_class_name": "UNet2DModel"}, "pip install diffusers"),
    ):
        folder = model(tmp_path / how[-4:], SHAPES, {"config.json": config})
        for verb in (api.spec, api.verify):
            with pytest.raises(LibraryMissing) as caught:
                verb(folder, live=True)
            assert how in str(caught.value)
    assert library.requests == []


def test_a_policy_whose_vlm_is_not_here_is_not_asked_about(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "distribution", distributions({"lerobot": "0.6.1"}))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    config = {"type": "smolvla", "input_features": {}, "vlm_model_name": "example/vlm"}
    folder = model(tmp_path / "m", SHAPES, {"config.json": config})
    for is_live in (True, False):
        with pytest.raises(BaseMissing, match="base=example/vlm=DIR"):
            api.verify(folder, live=is_live, load=not is_live)
    (tmp_path / "hub" / "models--example--vlm").mkdir(parents=True)
    api.spec(folder, live=True)
    assert len(library.requests) == 1


def test_a_refusal_is_a_sentence(library: Library, tmp_path: Path) -> None:
    library.answer = {"refused": "its classes are code in the repository (auto_map)"}
    folder = model(tmp_path / "m", SHAPES, {"config.json": CONFIG})
    for verb in (api.spec, api.verify):
        with pytest.raises(NothingAnswered, match="auto_map"):
            verb(folder, live=True)


def test_an_answer_of_another_form_is_refused(library: Library, tmp_path: Path) -> None:
    folder = model(tmp_path / "m", SHAPES, {"config.json": CONFIG})
    wrong: tuple[object, ...] = (
        {"a": ["F32", -1]}, {"a": ["F99", 1]}, {"a": ["F32", True]}, [], None
    )  # fmt: skip
    for tensors in wrong:
        library.answer = ANSWER | {"tensors": tensors}
        with pytest.raises(ProbeFailed, match="incomplete"):
            api.spec(folder, live=True)


@pytest.mark.usefixtures("library")
def test_quantized_weights_are_not_compared(tmp_path: Path) -> None:
    config = CONFIG | {"quantization_config": {"quant_method": "awq"}}
    with pytest.raises(NothingAnswered, match="quantization_config"):
        api.verify(model(tmp_path / "m", SHAPES, {"config.json": config}), live=True)


@pytest.mark.usefixtures("library")
def test_an_adapter_and_a_folder_without_config_have_no_answer(tmp_path: Path) -> None:
    adapter = {"adapter_config.json": {"peft_type": "LORA"}}
    folder = model(tmp_path / "a", SHAPES, adapter, file="adapter_model.safetensors")
    with pytest.raises(NothingAnswered, match="base model"):
        api.spec(folder, live=True)
    with pytest.raises(NothingAnswered, match=r"no config\.json"):
        api.spec(model(tmp_path / "m", SHAPES), live=True)


# --- lockfiles ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("library")
def test_a_lockfile_of_a_config_alone_has_ties_and_verifies_either_name(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    made = api.spec(bare, live=True)
    jsonschema.validate(json.loads(text(made)), load("spec"))
    assert made.written_from == "transformers 9.9 for bare"
    write_spec(made, str(tmp_path / "spec.json"))
    for name in ("embed.weight", "head.weight"):
        held = {name: (8, 4), "norm.weight": (4,)}
        folder = model(tmp_path / name, held, {"config.json": CONFIG})
        assert codes(api.verify(folder, spec=tmp_path / "spec.json")) == set()
    folder = model(tmp_path / "none", {"norm.weight": (4,)}, {"config.json": CONFIG})
    assert codes(api.verify(folder, spec=tmp_path / "spec.json")) == {"CK511"}


# --- the command line -----------------------------------------------------------------------------


def test_exit_status_and_json(
    library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(model(tmp_path / "m", SHAPES, {"config.json": CONFIG}))
    bad = str(model(tmp_path / "n", {"norm.weight": (4,)}, {"config.json": CONFIG}))
    assert main(["verify", good, "--live", "--require", "completeness,agreement"]) == 0
    capsys.readouterr()
    assert main(["verify", bad, "--live", "--format", "json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    jsonschema.validate(printed, load("findings"))
    assert {"CK305"} == {one["code"] for one in printed["findings"] if one["severity"] == "error"}
    library.answer = {"refused": "it is a riddle"}
    assert main(["verify", good, bad, "--live", "--base", f"a/b={tmp_path}"]) == 2
    assert capsys.readouterr().err.count("it is a riddle") == 2


@pytest.mark.usefixtures("library")
def test_a_lockfile_is_written_without_naming_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(model(tmp_path / "m", SHAPES, {"config.json": CONFIG}))
    written: list[str] = []
    for arguments in (
        ["spec", "write", folder, "--live"],
        ["spec", folder, "--live"],
        ["spec", "--live", folder],
    ):
        assert main(arguments) == 0
        written.append(capsys.readouterr().out)
    assert len(set(written)) == 1
    out = tmp_path / "spec.json"
    assert main(["spec", folder, "--live", "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == written[0]


@pytest.mark.parametrize("command", [["spec"], ["verify"]])
def test_a_local_copy_that_nothing_uses_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(model(tmp_path / "m", SHAPES, {"config.json": CONFIG}))
    assert main([*command, folder, "--base", f"a/b={tmp_path}"]) == 2
    assert "--base has no effect without --live" in capsys.readouterr().err
