"""`ckpt diff --values` and `ckpt show --values`.

What they say, how they end, and that nobody else pays for them.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.storage import schemas
from ckpt_tools.values import cache as value_cache
from ckpt_tools.values import kernels
from tests.cli.test_startup import heavy_modules_after
from tests.support import forked
from tests.support.cases import make

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
NORMAL = ROOT / "fixtures/normal"
HEAD = "model.vlm_with_expert.vlm.lm_head.weight"
EXPERT = "model.vlm_with_expert.lm_expert.layers.3.mlp.up_proj.weight"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/ckpt-tools/values"


def ckpt(*arguments: str | Path) -> forked.Done:
    return forked.ckpt(*arguments, folder=ROOT)


def changed(folder: Path, *names: str, old: Path = NORMAL) -> Path:
    """Return a copy of a checkpoint with another first number in each of these tensors.

    Its last bit is another; for a name that ends in `=nan`, the number is NaN.
    """
    shutil.copytree(old, folder)
    held = make.policy("normal")
    for spelled in names:
        name, _, word = spelled.partition("=")
        blob = held[name]
        width = blob.dtype.bits // 8
        nan = {Dtype.BF16: b"\xc0\x7f", Dtype.F32: b"\0\0\xc0\x7f"}[blob.dtype]
        first = nan if word else bytes([blob.data[0] ^ 1, *blob.data[1:width]])
        held[name] = blob._replace(data=first + blob.data[width:])
    make.write_safetensors(folder / "model.safetensors", held)
    return folder


def valid(output: str, name: str) -> Any:
    document = json.loads(output)
    jsonschema.Draft202012Validator(schemas.load(name)).validate(document)
    return document


def test_a_copy_has_the_same_values(tmp_path: Path) -> None:
    done = ckpt("diff", NORMAL, changed(tmp_path / "copy"), "--values")
    assert done.returncode == 0
    assert "✓ VLM text model: identical (146 of 146)" in done.stdout
    assert done.stdout.endswith("✓ same structure; no tensor values changed (500 tensors)\n")


def test_one_bit_in_what_trains_is_a_difference(tmp_path: Path) -> None:
    done = ckpt("diff", NORMAL, changed(tmp_path / "b", EXPERT), "--values")
    assert done.returncode == 1
    assert "  ~ action expert: changed (1 of 145), rel. L2" in done.stdout
    assert "      layer 3: 1 of 9, rel. L2" in done.stdout
    assert "frozen but changed" not in done.stdout
    assert done.stdout.endswith("✗ different: values of 1 tensor changed\n")
    assert ckpt("diff", NORMAL, tmp_path / "b").returncode == 0


def test_one_bit_in_what_is_frozen_is_a_finding(tmp_path: Path) -> None:
    done = ckpt("diff", NORMAL, changed(tmp_path / "b", HEAD, EXPERT), "--values")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    finding = next(
        number
        for number, line in enumerate(lines)
        if line.startswith("  ✗ VLM lm_head: frozen but changed (1 of 1), rel. L2")
    )
    assert lines[finding - 1] == "Tensor values"
    assert (
        lines[finding + 1]
        == "      B's config freezes this component, so training did not change it"
    )
    assert lines[-1].endswith("values of 2 tensors changed, including frozen ones (VLM lm_head)")


def test_a_number_that_became_nan_is_told_whatever_the_tolerance(tmp_path: Path) -> None:
    done = ckpt(
        "diff", NORMAL, changed(tmp_path / "b", f"{EXPERT}=nan"), "--values", "--tolerance", "0.5"
    )
    assert done.returncode == 1
    assert "  ✗ action expert: changed (1 of 145)" in done.stdout
    assert "      1 value NaN or infinite on one side only" in done.stdout


def test_the_verdict_says_what_a_tolerance_does_not_hold_for(tmp_path: Path) -> None:
    done = ckpt(
        "diff", NORMAL, changed(tmp_path / "b", f"{EXPERT}=nan"), "--values", "--tolerance", "0.01"
    )
    assert "values of 1 tensor changed by more than 1 %, or to NaN or infinity" in done.stdout


def test_a_tolerance_lets_small_changes_pass_and_is_recorded(tmp_path: Path) -> None:
    folder = changed(tmp_path / "b", EXPERT)
    done = ckpt("diff", NORMAL, folder, "--values", "--tolerance", "0.01")
    assert done.returncode == 0
    assert (
        "✓ action expert: unchanged (144 of 145 identical, 1 of 145 within the tolerance, rel. L2"
        in done.stdout
    )
    assert "no tensor values changed by more than 1 % (500 tensors)" in done.stdout
    document = valid(
        ckpt("diff", NORMAL, folder, "--values", "--tolerance", "0.01", "--format", "json").stdout,
        "diff",
    )
    assert (
        document["same"],
        document["tensor_values"]["same"],
        document["tensor_values"]["tolerance"],
    ) == (True, True, 0.01)
    assert ckpt("diff", NORMAL, folder, "--values", "--tolerance", "1e-9").returncode == 1


def test_json_tells_every_tensor_and_follows_its_schema(tmp_path: Path) -> None:
    done = ckpt("diff", NORMAL, changed(tmp_path / "b", HEAD), "--values", "--format", "json")
    values = valid(done.stdout, "diff")["tensor_values"]
    assert len(values["tensors"]) == 500
    (row,) = [row for row in values["components"] if row["moved"]]
    assert (row["component"], row["trains"], row["changed"], row["identical"]) == (
        "lm_head",
        False,
        1,
        0,
    )
    (tensor,) = [tensor for tensor in values["tensors"] if tensor["sameness"] == "changed"]
    assert (tensor["name_b"], tensor["changed"], tensor["broken"]) == (HEAD, 1, 0)
    assert 0 < tensor["rel_l2"] < 0.01
    assert 0.999 < tensor["cosine"] <= 1
    assert "tensor_values" not in json.loads(
        ckpt("diff", NORMAL, tmp_path / "b", "--format", "json").stdout
    )


def test_values_that_are_the_same_in_other_bits_are_said_to_be(tmp_path: Path) -> None:
    del tmp_path
    done = ckpt("diff", NORMAL, ROOT / "fixtures/f32-vlm", "--values", "--only", "keys")
    assert done.returncode == 0
    assert (
        "✓ VLM vision tower: unchanged (197 of 197 equal values, different bit patterns)"
        in done.stdout
    )


def test_markdown_has_the_values_too(tmp_path: Path) -> None:
    done = ckpt("diff", NORMAL, changed(tmp_path / "b", HEAD), "--values", "--format", "markdown")
    assert "- ✗ VLM lm\\_head: frozen but changed (1 of 1)" in done.stdout


def test_the_table_has_no_column_of_sizes_where_no_size_changed(tmp_path: Path) -> None:
    other = changed(tmp_path / "other", "model.state_proj.weight")
    done = ckpt("diff", NORMAL, other, "--values", "--stat")
    head, row = done.stdout.splitlines()
    assert (done.returncode, head.split()) == (1, ["number", "what", "differs"])
    assert row.split()[0] == "1"


def test_full_lists_the_tensors_that_changed(tmp_path: Path) -> None:
    done = ckpt("diff", NORMAL, changed(tmp_path / "b", HEAD), "--values", "--full")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert any(row[:1] == ["changed"] and row[-1] == HEAD for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["diff", NORMAL, NORMAL, "--tolerance", "0.1"],
            "--tolerance needs --values; add --values",
        ),
        (
            ["diff", NORMAL, NORMAL, "--no-cache"],
            "--no-cache needs --values; add --values",
        ),
        (
            ["diff", NORMAL, NORMAL, "--values", "--tolerance", "-1"],
            "-1.0 is not in the range x>=0",
        ),
        (
            ["diff", NORMAL, NORMAL, "--values", "--tolerance", "nan"],
            "a tolerance of nan is none; it is a relative L2 norm, 0 or more",
        ),
        (
            ["show", NORMAL, "--no-cache"],
            "--no-cache needs --values; add --values",
        ),
        (
            ["show", NORMAL, "--values", "--tree"],
            "--tree, --list and --values exclude each other; leave all but one out",
        ),
    ],
)
def test_wrong_use_is_one_line_and_2(arguments: list[str | Path], words: str) -> None:
    done = ckpt(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr


def test_show_tells_what_the_values_are() -> None:
    done = ckpt("show", NORMAL, "--values")
    assert done.returncode == 0
    assert "✓ no NaN or infinity" in done.stdout
    document = valid(ckpt("show", NORMAL, "--values", "--format", "json").stdout, "show")
    assert all(len(tensor["values"]["blake3"]) == 64 for tensor in document["tensors"])
    assert [row["component"] for row in document["values"]["components"]] == [
        "vision",
        "connector",
        "text",
        "lm_head",
        "expert",
        "projections",
    ]
    assert "values" not in json.loads(ckpt("show", NORMAL, "--format", "json").stdout)


def test_f32_that_fits_bf16_shows_its_spare_bits() -> None:
    components = json.loads(
        ckpt("show", "fixtures/f32-vlm", "--values", "--format", "json").stdout
    )["values"]["components"]
    assert {row["component"]: row["zero_low_bits"] for row in components}["vision"] == 16


def test_nan_is_counted(tmp_path: Path) -> None:
    done = ckpt("show", changed(tmp_path / "b", f"{HEAD}=nan"), "--values")
    assert "no NaN" not in done.stdout
    (row,) = [
        line.split()
        for line in done.stdout.splitlines()
        if line.strip().startswith("VLM lm_head") and line.split()[-1].isdecimal()
    ]
    assert row[-2:] == ["1", "0"]


def test_numpy_is_loaded_only_for_values_that_must_be_decoded(tmp_path: Path) -> None:
    folder = changed(tmp_path / "b", HEAD)
    arguments = ["diff", str(NORMAL), str(folder)]
    run = "from ckpt_tools.cli.main import main; main({}); print()"
    assert heavy_modules_after(run.format(arguments)) == []
    decoded = [] if kernels.reads() else ["numpy"]
    assert heavy_modules_after(run.format([*arguments, "--values", "--no-cache"])) == decoded
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\xff" * 4)  # NaN
    assert heavy_modules_after(run.format([*arguments, "--values", "--no-cache"])) == ["numpy"]


@pytest.mark.parametrize("cached", [False, True])
def test_the_bytes_to_come_are_told_before_those_that_were_read(
    tmp_path: Path,
    cached: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(value_cache, "RACY_NS", 0)
    folder = str(changed(tmp_path / "b", HEAD))
    for _ in range(1 + cached):
        for look in (api.show, partial(api.diff, str(NORMAL))):
            hold_what_is_told(partial(look, folder, values=True, cached=cached))


@pytest.mark.parametrize("sha256", [False, True])
def test_what_judges_and_hashes_tells_of_the_bytes_to_come_too(
    sha256: bool,
    tmp_path: Path,
) -> None:
    for look in (api.verify, api.gate):
        hold_what_is_told(partial(look, str(NORMAL), values=True))
    api.manifest(str(NORMAL), write=str(tmp_path / "manifest.json"))
    hold_what_is_told(partial(api.manifest, str(NORMAL), sha256=sha256))
    hold_what_is_told(
        partial(api.check_manifest, str(NORMAL), str(tmp_path / "manifest.json"), sha256=sha256)
    )


def hold_what_is_told(look: Callable[..., object]) -> None:
    done: list[int] = []
    look(expect=lambda nbytes: done.append(-nbytes), progress=done.append)
    assert done[0] < 0
    assert sum(done) == 0


def on_a_terminal(*arguments: str | Path) -> str:
    """Return what a command writes to standard error where that is a terminal."""
    master, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "ckpt_tools", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env=environment,
    ) as process:
        os.close(terminal)
        said = b""
        with (
            suppress(OSError),
            open(master, "rb", buffering=0) as file,
        ):  # a terminal that all have left is an error to read
            while part := file.read(4096):
                said += part
        assert process.wait() in {0, 1}
    return said.decode()


def test_the_bar_knows_how_many_bytes_there_are(tmp_path: Path) -> None:
    payload = api.read(str(NORMAL)).tensors
    size = f"/{sum(tensor.nbytes for tensor in payload) / 1000:.1f} kB"
    assert size in on_a_terminal("show", NORMAL, "--values", "--no-cache")
    twice = f"/{2 * sum(tensor.nbytes for tensor in payload) / 1000:.1f} kB"
    assert twice in on_a_terminal(
        "diff", NORMAL, changed(tmp_path / "b", HEAD), "--values", "--no-cache"
    )


def test_the_library_has_the_same_verb(tmp_path: Path) -> None:
    comparison = api.diff(
        str(NORMAL), str(changed(tmp_path / "b", HEAD)), values=True, cached=False
    )
    assert comparison.diff.same
    assert not comparison.same
    assert comparison.changes is not None
    assert [row.component for row in comparison.changes.moved] == ["lm_head"]
