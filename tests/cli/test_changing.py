"""The commands that change a checkpoint: what they write, what they say, and how they refuse."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import jsonschema
import pytest
import safetensors

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.storage.schemas import load
from tests.support.changing import MODEL, NORMAL, REFLOW, ROOT, ckpt, names, snapshot
from tests.support.checkpoints import weights

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "suffix", "expected"),
    [
        (["strip", "{}", "lm_head.**"], "stripped", lambda before: before - {"lm_head.weight"}),
        (
            ["extract", "{}", "lm_head.*", "model.norm.*"],
            "extract",
            lambda _: {"lm_head.weight", "model.norm.weight"},
        ),
        (
            ["extract", "{}", "model.**", "--strip-prefix", "model."],
            "extract",
            lambda before: {name[6:] for name in before if name[:6] == "model."},
        ),
        (
            ["rename", "{}", "model.**", "policy.**"],
            "renamed",
            lambda before: {name.replace("model.", "policy.", 1) for name in before},
        ),
        (
            ["rename", "{}", "--regex", r"(.*)layers(.*)", r"\1blocks\2"],
            "renamed",
            lambda before: {name.replace("layers", "blocks") for name in before},
        ),
        (["cast", "{}", "f32"], "f32", lambda before: before),
        (["merge", "{}"], "merged", lambda before: before),
    ],
)
def test_a_command_writes_a_new_folder_beside_the_old_and_leaves_that_alone(
    arguments: list[str], suffix: str, expected: object, tmp_path: Path
) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    before = names(tmp_path / "model")
    if arguments[0] == "merge":
        assert (
            ckpt(
                "reshard", tmp_path / "model", "--max-size", "1kB", "--in-place", "--no-backup"
            ).returncode
            == 0
        )
    untouched = snapshot(tmp_path / "model")
    done = ckpt(*(argument.format(tmp_path / "model") for argument in arguments))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"written to {tmp_path}/model-{suffix}" in done.stdout
    assert names(tmp_path / f"model-{suffix}") == expected(before)  # type: ignore[operator]  # functions in a table of parameters
    assert snapshot(tmp_path / "model") == untouched
    assert (tmp_path / f"model-{suffix}/README.md").read_bytes() == (
        MODEL / "README.md"
    ).read_bytes()


def test_a_single_file_gives_a_single_file(tmp_path: Path) -> None:
    shutil.copy(MODEL / "model.safetensors", tmp_path / "a.safetensors")
    assert (
        ckpt(
            "strip", tmp_path / "a.safetensors", "lm_head.*", "-o", tmp_path / "b.safetensors"
        ).returncode
        == 0
    )
    assert ckpt("strip", tmp_path / "a.safetensors", "lm_head.*").returncode == 0
    assert (tmp_path / "b.safetensors").read_bytes() == (
        tmp_path / "a-stripped.safetensors"
    ).read_bytes()
    assert names(tmp_path / "b.safetensors") == names(MODEL) - {"lm_head.weight"}


def test_metadata_of_an_index_survives_reshard_and_merge(tmp_path: Path) -> None:
    sharded, again = tmp_path / "sharded", tmp_path / "again"
    ckpt("reshard", MODEL, "--max-size", "1kB", "-o", sharded)
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["metadata"] |= {"total_parameters": 1, "origin": "here"}
    path.write_text(json.dumps(index))
    ckpt("reshard", sharded, "--max-size", "2kB", "-o", again)
    parameters = json.loads(ckpt("show", MODEL, "--format", "json").stdout)["parameters"]
    found = json.loads((again / path.name).read_text())["metadata"]
    total = index["metadata"]["total_size"]
    assert found == {"origin": "here", "total_parameters": parameters, "total_size": total}
    ckpt("merge", sharded, "-o", tmp_path / "one")
    with safetensors.safe_open(tmp_path / "one/model.safetensors", "np") as merged:
        assert merged.metadata()["origin"] == "here"


def test_half_a_repair_is_not_written_in_place_unless_asked_for(tmp_path: Path) -> None:
    shutil.copytree(REFLOW, tmp_path / "r")
    before = snapshot(tmp_path / "r")
    done = ckpt("sanitize", tmp_path / "r", "--in-place")
    assert done.returncode == 2
    assert "would be repaired only in part: dtypes of a model that" in done.stderr
    command = f"`ckpt sanitize {tmp_path / 'r'} --reference NORMAL` restores them; NORMAL is a"
    assert command in done.stderr
    assert "or pass --partial" in done.stderr
    assert snapshot(tmp_path / "r") == before
    assert ckpt("sanitize", tmp_path / "r", "--in-place", "--dry-run").returncode == 1
    assert snapshot(tmp_path / "r") == before
    assert ckpt("sanitize", tmp_path / "r", "--in-place", "--partial").returncode == 1
    assert snapshot(tmp_path / "r") != before


def test_a_run_that_can_be_resumed_is_only_copied(tmp_path: Path) -> None:
    policy = shutil.copytree(REFLOW, tmp_path / "checkpoints/000100/pretrained_model")
    (policy.parent / "training_state").mkdir()
    before = snapshot(policy)
    done = ckpt("sanitize", policy, "--in-place", "--reference", NORMAL)
    assert done.returncode == 2
    assert "belongs to a LeRobot run, which `--resume` continues" in done.stderr
    assert ckpt("sanitize", tmp_path, "--reference", NORMAL).returncode == 0
    assert snapshot(policy) == before
    clean = policy.with_name("pretrained_model-clean")
    assert snapshot(clean)["config.json"] == (NORMAL / "config.json").read_bytes()


def test_in_place_keeps_a_backup_unless_disabled(tmp_path: Path) -> None:
    shutil.copytree(REFLOW, tmp_path / "r")
    before = snapshot(tmp_path / "r")
    done = ckpt("sanitize", tmp_path / "r", "--in-place", "--reference", NORMAL)
    assert done.returncode == 0
    assert f"backup of the replaced files: {tmp_path}/r.backup" in done.stdout
    assert "; kept in the backup" in done.stdout
    assert "; removes data" not in done.stdout
    after = snapshot(tmp_path / "r")
    assert after["config.json"] == (NORMAL / "config.json").read_bytes()
    assert f"undo: ckpt restore {tmp_path}/r\n" in done.stdout
    kept = snapshot(tmp_path / "r.backup")
    assert kept.pop(".ckpt-backup.json")
    assert kept == {name: before[name] for name in kept}
    assert set(kept) == {"config.json", "model.safetensors", "train_config.json"}
    assert (
        ckpt("strip", tmp_path / "r", "model.state_proj.*", "--in-place", "--no-backup").returncode
        == 0
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "r.backup"]


def test_a_dry_run_writes_nothing_and_its_exit_code_shows_whether_there_are_changes(
    tmp_path: Path,
) -> None:
    before = snapshot(ROOT / "fixtures")
    assert ckpt("sanitize", REFLOW, "--dry-run").returncode == 1
    assert ckpt("sanitize", NORMAL, "--dry-run").returncode == 0
    assert ckpt("sanitize", NORMAL).returncode == 0
    assert snapshot(ROOT / "fixtures") == before
    assert ckpt("sanitize", NORMAL, "-o", tmp_path / "copy").returncode == 0
    assert snapshot(tmp_path / "copy") == snapshot(NORMAL)


def test_what_is_not_repaired_makes_the_exit_code_1(tmp_path: Path) -> None:
    done = ckpt(
        "sanitize", ROOT / "fixtures/lerobot-0.3", "--reference", NORMAL, "-o", tmp_path / "out"
    )
    assert done.returncode == 1
    assert "kept, although not in the reference: 6 tensors" in done.stdout
    assert "written to" in done.stdout


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (("strip", "layers.**"), "no tensor matches layers.**"),
        (("strip", "model.layrs.**"), "model.layrs.**; did you mean model.layers.**?"),
        (("strip", "model.*"), "no tensor matches model.*; did you mean model.**?"),
        (("extract", "model"), "no tensor matches model; did you mean model.**?"),
        (("extract", "lm_head.**", "model.norms.*"), "did you mean model.norm.*?"),
        (("rename", "modle.**", "**"), "no tensor matches modle.**; did you mean model.**?"),
        (("rename", "--regex", "layers", "x"), "the regular expression layers; it must match the"),
        (("cast", "BF16", "--select", "LM_HEAD.*"), "did you mean lm_head.*?"),
    ],
)
def test_a_glob_that_matches_nothing_is_an_error_and_nothing_is_written(
    tmp_path: Path, command: tuple[str, ...], error: str
) -> None:
    verb, *rest = command
    done = ckpt(verb, MODEL, *rest, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert error in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_step_of_a_recipe_may_match_nothing_if_it_says_so(tmp_path: Path) -> None:
    operation = {"drop": ["typo.**"]}
    document = tmp_path / "recipe.json"
    document.write_text(json.dumps({"operations": [operation]}))
    done = ckpt("plan", MODEL, document)
    assert done.returncode == 2
    assert "no tensor matches typo.**" in done.stderr
    document.write_text(json.dumps({"operations": [{**operation, "if-any": True}]}))
    done = ckpt("plan", MODEL, document)
    assert done.returncode == 0
    assert "Operations that changed nothing\n    drop typo.**: no such tensors\n" in done.stdout


def test_a_checkpoint_without_a_teacher_is_answered_in_words() -> None:
    done = ckpt("strip", NORMAL)
    assert done.returncode == 0
    section = done.stdout.partition("\nOperations that changed nothing\n")[2].partition("\n\n")[0]
    assert re.fullmatch(
        r" {4}drop teacher\.\*\*, model\.teacher\.\*\*, policy\.teacher\.\*\* and \d+ more:"
        r" no such tensors",
        section,
    )


IDLE: dict[str, tuple[object, bool, str]] = {
    "drop": (["x.**"], True, "drop x.**: no such tensors"),
    "keep": (["**"], False, "keep only **: there are no other tensors"),
    "rename": ({"match": "x.**", "to": "y.**"}, True, "rename x.** to y.**: no name changes"),
    "unwrap": (True, False, "remove wrapper segments (module, _orig_mod): no name has any"),
    "cast": ({"dtype": "F32", "select": ["x"]}, True, "cast x to F32: no dtype changes"),
    "take": (
        {"source": str(REFLOW), "select": ["x"]},
        True,
        f"take x from {REFLOW}: no such tensors there",
    ),
    "set": (
        {"file": "config.json", "pointer": "/chunk_size", "value": 50},
        False,
        "config.json: set /chunk_size to 50: it already has this value",
    ),
    "rename-key": (
        {"file": "config.json", "pointer": "/type", "to": "type"},
        False,
        "config.json: rename /type to type: it already has this name",
    ),
    "metadata": ({"key": "x", "value": None}, False, "remove metadata x: it is not set"),
    "reshard": (
        {"max-size": "1GB"},
        False,
        "split the weights into files of at most 1,000,000,000 bytes: they already are",
    ),
    "merge": (True, False, "merge the weights into one file: they already are one"),
    "drop-files": (["x"], True, "drop the files x: no such files"),
}


@pytest.mark.parametrize("name", IDLE)
def test_an_operation_that_changes_nothing_is_described_in_words(name: str, tmp_path: Path) -> None:
    operation, if_any, line = IDLE[name]
    recipe = {"operations": [{name: operation, **({"if-any": True} if if_any else {})}]}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    done = ckpt("plan", REFLOW, tmp_path / "recipe.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"\nOperations that changed nothing\n    {line}\n" in done.stdout


@pytest.mark.parametrize(
    ("dtype", "more", "why"),
    [
        ("BF16", {}, "a cast would lose bits (1 tensor)"),
        ("F16", {"lossy": True}, "a cast would make values infinite (1 tensor)"),
        ("F32", {}, "no dtype changes"),
    ],
)
def test_a_cast_that_was_left_out_says_what_it_would_lose(
    dtype: str, more: dict[str, bool], why: str, tmp_path: Path
) -> None:
    where = tmp_path / "model.safetensors"
    where.write_bytes(weights({"x": (Dtype.F32, (1,), struct.pack("<f", 100_000.1))}))
    cast = {"dtype": dtype, "select": ["x"], "skip": True, **more}
    (tmp_path / "recipe.json").write_text(json.dumps({"operations": [{"cast": cast}]}))
    done = ckpt("plan", where, tmp_path / "recipe.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"\nOperations that changed nothing\n    cast x to {dtype}: {why}\n" in done.stdout


def test_the_hub_cache_gets_nothing_beside_its_snapshots(tmp_path: Path) -> None:
    snapshot_folder = tmp_path / "models--o--n/snapshots/abc"
    shutil.copytree(REFLOW, snapshot_folder)
    for how in ([], ["--in-place"]):
        done = ckpt("sanitize", tmp_path / "models--o--n", *how)
        assert done.returncode == 2
        assert (
            "is in the Hugging Face cache, to which nothing should be added; write elsewhere"
            " with --output, or use --in-place --no-backup"
        ) in done.stderr
    assert (
        ckpt(
            "sanitize", tmp_path / "models--o--n", "-o", tmp_path / "out", "--reference", NORMAL
        ).returncode
        == 0
    )
    assert [path.name for path in snapshot_folder.parent.iterdir()] == ["abc"]


def test_a_vlm_that_stays_in_f32_is_not_called_clean(tmp_path: Path) -> None:
    done = ckpt("sanitize", REFLOW, "-o", tmp_path / "out")
    assert done.returncode == 1
    command = f"ckpt sanitize {tmp_path / 'out'} --reference NORMAL"
    assert f"`{command}` restores them; NORMAL is a checkpoint of the same base" in done.stdout
    words = [str(NORMAL) if word == "NORMAL" else word for word in command.split()[1:]]
    assert ckpt(*words, "--in-place").returncode == 0


def test_a_receipt_has_the_sha256_of_everything(tmp_path: Path) -> None:
    assert (
        ckpt(
            "strip",
            MODEL,
            "lm_head.*",
            "-o",
            tmp_path / "out",
            "--receipt",
            tmp_path / "receipt.json",
        ).returncode
        == 0
    )
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    jsonschema.validate(receipt, load("receipt"))
    for side, folder in (("before", MODEL), ("after", tmp_path / "out")):
        sums = subprocess.run(
            ["sha256sum", *(file["path"] for file in receipt[side]["files"])],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        assert [line.split()[0] for line in sums.stdout.splitlines()] == [
            file["sha256"] for file in receipt[side]["files"]
        ]
        assert {file["path"] for file in receipt[side]["files"]} == set(snapshot(folder))


REFUSED = {
    "a rename onto one name": (
        ["rename", "{m}", "model.**", "x"],
        "model.embed_tokens.weight and model.layers.0.input_layernorm.weight would both be x",
    ),
    "a broken expression": (
        ["rename", "{m}", "--regex", "(", "x"],
        "missing ), unterminated subpattern",
    ),
    "a wildcard too many": (
        ["rename", "{m}", "model.*", "*.*"],
        "'*.*' has 2 wildcards, but 'model.*' has only 1",
    ),
    "dropping everything": (
        ["strip", "{m}", "**"],
        "drop ** would remove every tensor; check the globs",
    ),
    "a lossy cast": (["cast", "{m}", "BF16"], "in BF16 without loss, such as"),
    "infinities without rounding": (
        ["cast", "{m}", "BF16", "--allow-infinite"],
        "--allow-infinite needs --allow-lossy",
    ),
    "a size that is none": (
        ["reshard", "{m}", "--max-size", "lots"],
        "invalid --max-size 'lots'; write 5GB",
    ),
    "an output inside the input": (
        ["strip", "{m}", "lm_head.*", "-o", "{m}/out"],
        "overlaps with the checkpoint that is read",
    ),
    "an output that is there": (
        ["strip", "{m}", "lm_head.*", "-o", "{t}"],
        "already exists; choose another --output",
    ),
    "two places": (
        ["strip", "{m}", "lm_head.*", "-o", "{t}/x", "--in-place"],
        "--output and --in-place exclude each other",
    ),
    "a reference of another kind": (
        ["sanitize", "{m}", "--reference", str(NORMAL)],
        "the reference is a smolvla model, but the checkpoint is a llama model; give a reference",
    ),
    "an unknown target": (
        ["sanitize", "{m}", "--target", "torch"],
        "unknown target 'torch'; use one of lerobot, fork",
    ),
    "a recipe that is not there": (
        ["plan", "{m}", "{t}/none.yaml"],
        "none.yaml: no such file or directory",
    ),
    "a recipe that is none": (
        ["plan", "{m}", "{m}/README.md"],
        "not a recipe: its name does not end in .json, .yaml or .yml; rename it",
    ),
    "a plan that is none": (
        ["apply", "{m}/config.json"],
        "not a plan: 'checkpoint' is missing or invalid; make one with `ckpt plan",
    ),
    "a receipt without a folder": (
        ["strip", "{m}", "lm_head.*", "--in-place", "--receipt", "{t}/no/r.json"],
        "its folder does not exist or is not writable",
    ),
    "no backup of nothing": (
        ["strip", "{m}", "lm_head.*", "--no-backup"],
        "--no-backup has no effect without --in-place",
    ),
    "an output without a name": (
        ["strip", "{m}", "lm_head.*", "-o", ""],
        "invalid path ''; give another path with --output",
    ),
    "a file for a folder": (
        ["strip", "{m}", "lm_head.*", "-o", "{t}/x.safetensors"],
        "--output is a file name, but the result is a folder",
    ),
    "the whole config": (
        ["config", "{m}", "set", "", "true"],
        "an empty pointer means the whole file",
    ),
    "a receipt that is there": (
        ["strip", "{m}", "lm_head.*", "-o", "{t}/x", "--receipt", "{m}/config.json"],
        "config.json: already exists",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_one_line_exit_2_and_nothing_changed(
    case: str, tmp_path: Path
) -> None:
    shutil.copytree(MODEL, tmp_path / "m")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").write_text("mine")
    before = snapshot(tmp_path)
    arguments, words = REFUSED[case]
    done = ckpt(
        *(argument.format(m=tmp_path / "m", t=tmp_path / "taken") for argument in arguments)
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert snapshot(tmp_path) == before


def test_restore_undoes_what_an_in_place_change_printed_the_command_for(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "my model")
    before = snapshot(tmp_path)
    change = ("reshard", tmp_path / "my model", "--max-size", "1kB", "--in-place")
    done = ckpt(*change, "--receipt", tmp_path / "receipt.json")
    assert done.returncode == 0
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    jsonschema.validate(receipt, load("receipt"))
    undo = f"ckpt restore '{tmp_path}/my model'"
    assert receipt["undo"] == undo
    assert f"undo: {undo}\n" in done.stdout
    hint = f"no interrupted change found; undo the last change: {undo}\n"
    assert ckpt("recover", tmp_path / "my model").stdout.endswith(hint)
    done = ckpt(*shlex.split(undo)[1:])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path}/my model: undid the change: 1 file put back from")
    (tmp_path / "receipt.json").unlink()
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "has no backup of a change in place"),
        (("--backup", "2"), "has no backup of a change in place"),
        (("--backup", "0"), "0 is not in the range"),
    ],
)
def test_restore_without_a_backup_is_exit_2(
    options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    shutil.copytree(MODEL, tmp_path / "m")
    done = ckpt("restore", tmp_path / "m", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_recover_prints_the_outcome(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "m")
    assert ckpt("recover", tmp_path / "m").stdout == f"{tmp_path}/m: no interrupted change found\n"
    (tmp_path / "m/.ckpt-work/new").mkdir(parents=True)
    (tmp_path / "m/.ckpt-work/lock").touch()
    hint = f"complete it or roll it back: ckpt recover {tmp_path}/m\n"
    assert hint in ckpt("show", tmp_path / "m").stderr
    assert (
        ckpt("recover", tmp_path / "m").stdout
        == f"{tmp_path}/m: rolled back the interrupted change; the checkpoint is the old one\n"
    )
    assert snapshot(tmp_path / "m") == snapshot(MODEL)
