"""Bad checkpoints, one by one: wrong paths and hostile files, in a process of its own.

Each ends with exit code 2, nothing on standard output, exactly one line on standard error (what,
where, what to do next) and nothing changed on disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.bad_checkpoints import (
    ENTRY,
    INDEX,
    ONE,
    TWO,
    as_file,
    config,
    dangling,
    file_called,
    folder_called_safetensors,
    folder_with,
    index,
    linked_device,
    listening,
    missing_shard,
    model,
    pipe,
    pipe_called_safetensors,
    pipe_itself,
    raw_index,
    shards_without_index,
    socket_in_folder,
    state_outside,
    strange_step,
    weights,
)
from tests.support.ckpt_process import assert_one_line, ckpt, listing

if TYPE_CHECKING:
    from collections.abc import Callable


class Case(NamedTuple):
    """A name for the test, a builder, and words that the one line holds."""

    name: str
    build: Callable[[Path], Path]
    words: tuple[str, ...]


CASES = (
    Case(
        "missing path",
        lambda folder: folder / "none",
        ("none: no such file or directory; expected",),
    ),
    Case(
        "missing path with a line feed and an escape",
        lambda folder: folder / "no\n\x1b[31mne",
        ("no\\n\\x1b[31mne: no such file or directory",),
    ),
    Case("name too long", lambda folder: folder / ("x" * 300), ("file name too long",)),
    Case(
        "empty folder",
        lambda folder: folder,
        ("contains no .safetensors file; expected a folder with .safetensors weights",),
    ),
    Case("pipe as where", pipe_itself, ("pipe: is a named pipe, not a checkpoint; ",)),
    Case(
        "pipe called model.safetensors as where",
        pipe_called_safetensors,
        ("model.safetensors: is a named pipe, not a checkpoint; ",),
    ),
    Case(
        "pipe for weights",
        pipe("model.safetensors"),
        ("model.safetensors: is a named pipe, not a file; ",),
    ),
    Case("pipe for a config", pipe("config.json"), ("config.json: is a named pipe, not a file; ",)),
    Case(
        "folder for weights",
        folder_called_safetensors,
        ("model.safetensors: is a folder, not a file; ",),
    ),
    Case(
        "device as where",
        lambda _: Path("/dev/zero"),
        ("/dev/zero: is a device, not a checkpoint; ",),
    ),
    Case("device behind a link", linked_device, ("model.safetensors: is a device, not a file; ",)),
    Case("socket as where", listening, ("model.safetensors: is a socket, not a checkpoint; ",)),
    Case("socket for weights", socket_in_folder, ("model.safetensors: ", "; ")),
    Case("dangling link for weights", dangling, ("model.safetensors: is a broken link; ",)),
    Case(
        "pickle",
        file_called("pytorch_model.bin"),
        ("pytorch_model.bin: is a pickle by its name", "save it as safetensors first"),
    ),
    Case("other file", file_called("weights.npz"), ("weights.npz: is not a .safetensors file; ",)),
    Case(
        "config as where",
        file_called("config.json"),
        ("is a configuration file, not a checkpoint; pass its folder: ",),
    ),
    Case(
        "empty file",
        model(b""),
        ("model.safetensors: has 0 bytes, too few for a safetensors file; ",),
    ),
    Case(
        "truncated header",
        model(weights()[:20]),
        ("model.safetensors: states a header of", "but the file has 20; "),
    ),
    Case(
        "truncated payload",
        model(as_file('{"w.b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"1234567")),
        ("is truncated: the header lists 8 payload bytes, the file has 7; ",),
    ),
    Case("zeros", model(bytes(100)), ("model.safetensors: starts with zeros",)),
    Case(
        "claimed length 2^63",
        model((1 << 63).to_bytes(8, "little")),
        ("states a header of 9,223,372,036,854,775,808 bytes, more than the limit",),
    ),
    Case(
        "50 MB of opening brackets",
        model(as_file(b"[" * 50_000_000)),
        ("has more brackets than tensors can have",),
    ),
    Case(
        "50 MB of opening objects",
        model(as_file(b'{"a":' * 10_000_000)),
        ("has more brackets than tensors can have",),
    ),
    Case(
        "a number of a million digits",
        model(as_file('{"a":' + "9" * 1_000_000 + "}")),
        ("the number 99999999999999999999… does not fit a double; ",),
    ),
    Case(
        "nested too deep by one",
        model(as_file('{"a":' + "[" * 127 + "]" * 127 + "}")),
        ("nested deeper than 127",),
    ),
    Case(
        "a key of 10 MB without end",
        model(as_file('{"' + "k" * 10_000_000)),
        ("header is not JSON: line 1, column 2",),
    ),
    Case(
        "a key of 10 MB",
        model(as_file('{"' + "k" * 10_000_000 + '":1}')),
        ("the entry is a number, not an object; ",),
    ),
    Case(
        "a dtype of 10 MB",
        model(as_file(ENTRY.replace("U8", "U" * 10_000_000).join(('{"a":', "}")))),
        ('tensor "a": dtype "UUU', "is unknown; "),
    ),
    Case(
        "a field of 10 MB",
        model(as_file('{"a":{"' + "x" * 10_000_000 + '":1,' + ENTRY[1:] + "}")),
        ('tensor "a": ', "--lenient"),
    ),
    Case(
        "a shape of a million dimensions",
        model(
            as_file('{"a":{"dtype":"U8","shape":[' + "2," * 999_999 + '2],"data_offsets":[0,0]}}')
        ),
        ('tensor "a": ',),
    ),
    Case(
        "metadata key of 10 MB",
        model(as_file('{"__metadata__":{"' + "x" * 10_000_000 + '":1}}')),
        ("__metadata__: ", "is a number, not a string; "),
    ),
    Case(
        "outside the specification",
        model(as_file(f'{{"a":{ENTRY},"a":{ENTRY}}}')),
        ('tensor "a": occurs more than once', "--lenient"),
    ),
    Case(
        "a tensor called by escape sequences",
        model(as_file('{"\\u001b]0;owned\\u0007\\u001b[2J\\n\u202e":1}')),
        ('tensor "\\u001b]0;owned\\u0007\\u001b[2J\\n\\u202e": the entry is a number',),
    ),
    Case("raw C1 control in a name", model(as_file('{"\u009b2J":1}')), ("\\x9b2J",)),
    Case(
        "index outside the folder",
        index(a=ONE, b="../secret.safetensors"),
        (INDEX, 'tensor "b"', "'../secret.safetensors', outside the folder; "),
    ),
    Case(
        "index to an absolute path",
        index(a="/etc/passwd"),
        (INDEX, 'tensor "a"', "'/etc/passwd', outside the folder; "),
    ),
    Case("index with a backslash", index(a="..\\x"), (INDEX, "outside the folder; ")),
    Case("index without a map", raw_index("{}"), (f"{INDEX}: has no weight_map; ",)),
    Case(
        "index that is a list",
        raw_index("[]"),
        (f"{INDEX}: holds a list where an object is expected; ",),
    ),
    Case("index that is no JSON", raw_index("{,}"), (f"{INDEX}: line 1, column 2",)),
    Case(
        "index that disagrees",
        index(a=TWO, b=ONE),
        (f'{INDEX}: tensor "a": is listed in {TWO}, but is in {ONE}; ',),
    ),
    Case("index of a missing shard", missing_shard, (TWO, "fetch or save them again")),
    Case("one shard of two", shards_without_index, ("the shard model-0000",)),
    Case(
        "state outside the folder",
        state_outside,
        (
            (
                "policy_preprocessor.json: names the state file '../../secret.safetensors',"
                " outside the folder; "
            ),
        ),
    ),
    Case("config of 0 bytes", config(b""), ("config.json: is empty; ",)),
    Case("config that is no JSON", config("type: smolvla\n"), ("config.json: line 1, column 1",)),
    Case("config in Latin-1", config(b'{"a":"\xe9"}'), ("config.json: byte 6 is not UTF-8; ",)),
    Case(
        "config with a byte order mark",
        config(b"\xef\xbb\xbf{}"),
        ("config.json: starts with a byte order mark; ",),
    ),
    Case(
        "config in UTF-16",
        config('{"a":1}'.encode("utf-16")),
        ("config.json: byte 0 is not UTF-8; ",),
    ),
    Case(
        "config that is a list",
        config("[]"),
        ("config.json: holds a list where an object is expected; ",),
    ),
    Case("config with NaN", config('{"lr":NaN}'), ("config.json: NaN is not JSON; ",)),
    Case(
        "config with a repeated key",
        config('{"lr":1,"lr":2}'),
        ('config.json: key "lr" stands more than once in one object; ',),
    ),
    Case(
        "config with a number out of range",
        config('{"lr":1e999}'),
        ("config.json: the number 1e999 does not fit a double; ",),
    ),
    Case(
        "config nested too deep",
        config('{"a":' * 200 + "1" + "}" * 200),
        ("config.json: nested deeper than 127; ",),
    ),
    Case(
        "config with a lone surrogate",
        config('{"a":"\\ud800"}'),
        ("config.json: the string '\\ud800' holds half of a surrogate pair; ",),
    ),
    Case(
        "train config that is no JSON",
        folder_with("train_config.json", "{"),
        ("train_config.json: line 1, column 2",),
    ),
    Case("step folder with a strange number", strange_step, ("contains no .safetensors file; ",)),
)


def test_the_good_checkpoint_of_these_tests_is_good(good: Path) -> None:
    shown = ckpt("show", good)
    assert (shown.code, shown.stderr) == (0, "")
    assert ckpt("diff", good, good).code == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_told_on_one_line_and_changes_nothing(
    case: Case, good: Path, tmp_path: Path
) -> None:
    where = case.build(tmp_path)
    before = listing(tmp_path)
    shown, compared = ckpt("show", where), ckpt("diff", good, where)
    assert_one_line(shown, *case.words)
    assert compared == shown
    assert len(shown.stderr) < 1000, "a line that fills the screen hides what it says"
    assert listing(tmp_path) == before
