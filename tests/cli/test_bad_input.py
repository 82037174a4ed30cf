"""Bad input, from outside.

The command in its own process, on every kind of wrong path and hostile file.

Each ends with exit code 2, nothing on standard output, exactly one line on standard error (what,
where, what to do next) and nothing changed on disk.
"""

from __future__ import annotations

import errno
import gc
import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import ckpt_tools
import ckpt_tools.cli.show  # before privileges are dropped: the interpreter's files are root's
from ckpt_tools.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE_ROOT = Path(ckpt_tools.__file__).parents[1]
TIMEOUT_S = 120  # a hang, whatever else the machine is doing
"""Generous: a hang is found, a busy machine is not."""

ENTRY = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str


def ckpt(*arguments: str | bytes | os.PathLike[str]) -> Outcome:
    """Return what `ckpt` does with `arguments`, in a process with an empty standard input."""
    return all_of(arguments)[0]


def all_of(*commands: tuple[str | bytes | os.PathLike[str], ...]) -> list[Outcome]:
    """Return what `ckpt` does with each list of arguments, all at once.

    Every start of Python costs more than what is tested.
    """
    started = [
        subprocess.Popen(
            # -P: the package that these tests imported, not the one in the current folder.
            [sys.executable, "-P", "-m", "ckpt_tools", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": str(PACKAGE_ROOT),
                "PYTHONWARNINGS": "error",
                "PYTHONUTF8": "1",
            },
        )
        for arguments in commands
    ]
    try:
        return [outcome_of(process) for process in started]
    finally:
        for process in started:
            process.kill()


def outcome_of(process: subprocess.Popen[bytes]) -> Outcome:
    """Return what `process` leaves behind when it ends, within the time it has."""
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    return Outcome(process.returncode, stdout.decode(), stderr.decode())


def listing(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return everything in `folder` with its kind, size, times and content, links not followed."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        regular = stat.S_ISREG(status.st_mode)
        digest = hashlib.blake2b(path.read_bytes()).hexdigest() if regular else ""
        link = str(path.readlink()) if path.is_symlink() else ""
        found[str(path)] = (
            status.st_mode,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            digest,
            link,
        )
    return found


def assert_one_line(outcome: Outcome, *words: str) -> None:
    """Assert trouble, told on one printable line that holds `words`."""
    assert outcome.code == 2, outcome
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("ckpt: ")
    assert outcome.stderr.endswith("\n")
    line = outcome.stderr[:-1]
    assert line.isprintable(), line
    assert "Traceback" not in line
    assert "; " in line, "nothing says what to do next"
    for word in words:
        assert word in line


def as_file(text: bytes | str, payload: bytes = b"") -> bytes:
    """Return a safetensors file with this header text, its length right."""
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(8, "little") + encoded + payload


def weights(name: str = "a") -> bytes:
    """Return a good file that holds one empty tensor."""
    return as_file(json.dumps({name: json.loads(ENTRY)}))


# --- builders: each puts something into an empty folder and returns the WHERE to type -------------


def folder_with(name: str, data: bytes | str) -> Callable[[Path], Path]:
    """Return a builder of a good checkpoint in which the file `name` holds `data`."""

    def build(folder: Path) -> Path:
        (folder / "model.safetensors").write_bytes(weights())
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return folder

    return build


def model(data: bytes | str) -> Callable[[Path], Path]:
    return folder_with("model.safetensors", data)


def config(data: bytes | str) -> Callable[[Path], Path]:
    return folder_with("config.json", data)


def index(**weight_map: str) -> Callable[[Path], Path]:
    """Return a builder of a folder with two shards, of `a` and `b`, and this index."""

    def build(folder: Path) -> Path:
        (folder / ONE).write_bytes(weights("a"))
        (folder / TWO).write_bytes(weights("b"))
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
        return folder

    return build


def raw_index(text: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / INDEX).write_text(text)
        return folder

    return build


def pipe(name: str) -> Callable[[Path], Path]:
    """Return a builder of a checkpoint in which `name` is a named pipe."""

    def build(folder: Path) -> Path:
        if name != "model.safetensors":
            (folder / "model.safetensors").write_bytes(weights())
        os.mkfifo(folder / name)
        return folder

    return build


def pipe_itself(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def pipe_called_safetensors(folder: Path) -> Path:
    return pipe("model.safetensors")(folder) / "model.safetensors"


def listening(folder: Path) -> Path:
    # A socket's address holds 108 bytes, and a test folder's name may hold more.
    before = Path.cwd()
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("model.safetensors")
    finally:
        os.chdir(before)
    return folder / "model.safetensors"


def socket_in_folder(folder: Path) -> Path:
    return listening(folder).parent


def folder_called_safetensors(folder: Path) -> Path:
    (folder / "model.safetensors").mkdir()
    return folder


def dangling(folder: Path) -> Path:
    (folder / "model.safetensors").symlink_to("../gone")
    return folder


def linked_device(folder: Path) -> Path:
    (folder / "model.safetensors").symlink_to("/dev/zero")
    return folder


def file_called(name: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(b"\x80\x04.")
        return folder / name

    return build


def missing_shard(folder: Path) -> Path:
    index(a=ONE, b=TWO)(folder)
    (folder / TWO).unlink()
    return folder


def shards_without_index(folder: Path) -> Path:
    (folder / ONE).write_bytes(weights())
    return folder


def strange_step(folder: Path) -> Path:
    (folder / "checkpoints" / "²" / "pretrained_model").mkdir(parents=True)
    return folder


def state_outside(folder: Path) -> Path:
    return folder_with(
        "policy_preprocessor.json",
        json.dumps({"steps": [{"state_file": "../../secret.safetensors"}]}),
    )(folder)


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
    Case("zeros", model(bytes(100)), ("model.safetensors: header is not JSON",)),
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


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint without fault."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "model.safetensors").write_bytes(weights())
    (folder / "config.json").write_text("{}")
    return folder


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
    shown, compared = all_of(("show", where), ("diff", good, where))
    assert_one_line(shown, *case.words)
    assert compared == shown
    assert len(shown.stderr) < 1000, "a line that fills the screen hides what it says"
    assert listing(tmp_path) == before


def test_the_bad_side_of_a_diff_is_named_whichever_it_is(good: Path, tmp_path: Path) -> None:
    where = model(b"")(tmp_path)
    assert ckpt("diff", where, good) == ckpt("diff", good, where)
    assert_one_line(
        ckpt("diff", where, tmp_path / "none"), f"{where}/model.safetensors: has 0 bytes"
    )


@pytest.mark.parametrize("output_format", ["json", "markdown"])
def test_bad_input_leaves_standard_output_empty_in_every_format(
    output_format: str, tmp_path: Path
) -> None:
    where = config("[")(tmp_path)
    assert_one_line(ckpt("show", where, "--format", output_format), "config.json: ")
    assert_one_line(ckpt("diff", where, where, "--format", output_format), "config.json: ")


def test_an_empty_where_is_told(good: Path) -> None:
    assert_one_line(ckpt("show", ""), "no such file or directory; expected")
    assert_one_line(ckpt("diff", good, ""), "no such file or directory; expected")


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("hash --check", "a manifest"),
        ("verify --spec", "a lockfile of `ckpt spec`"),
        ("verify --settings", "a ckpt.toml"),
    ],
)
def test_a_missing_file_beside_the_checkpoint_is_said_to_be_of_its_kind(
    option: str, kind: str, good: Path
) -> None:
    assert_one_line(
        ckpt(option.split(maxsplit=1)[0], good, option.split()[1], "/nowhere/none"),
        f"/nowhere/none: no such file or directory; expected {kind}",
    )


def test_a_path_that_is_not_utf8_is_told_with_escapes(tmp_path: Path) -> None:
    assert_one_line(
        ckpt("show", os.fsencode(tmp_path) + b"/\xff\xfe"),
        "/\\udcff\\udcfe: no such file or directory; ",
    )


@pytest.mark.parametrize("where", ["/dev/null", "/dev/full", "/dev/tty", "/dev/stdin"])
def test_devices_are_told_and_not_read(where: str) -> None:
    if not Path(where).exists():
        pytest.skip(f"this machine has no {where}")
    assert_one_line(ckpt("show", where), f"{where}: is ", "; ")


def test_a_good_name_with_escape_sequences_reaches_no_terminal(good: Path, tmp_path: Path) -> None:
    where = model(weights("\x1b]0;owned\x07\x1b[2J\n\u009b\u202ename"))(tmp_path)
    (where / "config.json").write_text('{"\\u001b[31mkey":"\\u001b[2Jvalue\\u0007"}')
    for arguments in (("show", where), ("show", where, "--tree"), ("diff", good, where, "--full")):
        formats = ("text", "markdown") if "--tree" in arguments else ("text", "markdown", "json")
        for outcome in all_of(
            *((*arguments, "--format", output_format) for output_format in formats)
        ):
            assert outcome.code in (0, 1)
            assert outcome.stderr == ""
            assert [
                character
                for character in outcome.stdout
                if not character.isprintable() and character != "\n"
            ] == []


# --- the machine refuses --------------------------------------------------------------------------


@contextmanager
def without_privileges() -> Iterator[None]:
    """Run as nobody where the tests run as root, whom no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """Return a folder that every user reaches; pytest's own is for one user."""
    folder = Path(tempfile.mkdtemp(prefix="ckpt-permissions-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o700)
    shutil.rmtree(folder)


def in_process(capsys: pytest.CaptureFixture[str], *arguments: str) -> Outcome:
    """Return what `ckpt` does with `arguments` in this process.

    Nobody may not run this interpreter.
    """
    try:
        code = main(list(arguments))
    finally:
        gc.enable()
    written = capsys.readouterr()
    return Outcome(code, written.out, written.err)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "."])
def test_permission_denied_is_told_with_the_file(
    name: str, reachable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = reachable / "checkpoint"
    where.mkdir()
    (where / "model.safetensors").write_bytes(weights())
    (where / "config.json").write_text("{}")
    (where / name).chmod(0)
    before = listing(reachable)
    with without_privileges():
        outcome = in_process(capsys, "show", str(where))
    assert_one_line(outcome, f"{where / name}: permission denied; ask for read access")
    assert listing(reachable) == before


@pytest.mark.parametrize("folder", ["checkpoints", "checkpoints/000100", "snapshots", "refs"])
def test_permission_denied_on_the_way_is_told(
    folder: str, reachable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (reachable / folder / "pretrained_model").mkdir(parents=True)
    (reachable / "snapshots" / "c0ffee").mkdir(parents=True, exist_ok=True)
    (reachable / folder).chmod(0)
    with without_privileges():
        outcome = in_process(capsys, "show", str(reachable))
    assert_one_line(outcome, str(reachable))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied; ask for read access"),
        (errno.EPERM, "permission denied; ask for read access"),
        (errno.EIO, "input/output error; check the path and the disk"),
        (errno.EMFILE, "too many open files; "),
        (errno.ESTALE, "stale file handle; "),
    ],
    ids=lambda part: part if isinstance(part, str) else errno.errorcode[part],
)
def test_whatever_the_machine_refuses_is_told_on_one_line(
    number: int,
    words: str,
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened = os.open

    def refused(path: str, flags: int, *rest: int) -> int:
        if str(path).startswith(str(good)):
            raise OSError(number, os.strerror(number), path)
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", refused)
    assert_one_line(in_process(capsys, "show", str(good)), f"{good}/model.safetensors: ", words)
