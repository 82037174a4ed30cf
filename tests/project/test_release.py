"""The files of a release, as `make dist` and the release workflow make them."""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.utils import parse_wheel_filename

from ckpt_tools import __main__, __version__
from tests.project.environments import LOCKS, PYTHONS, Environment, create, uv
from tools import dist
from tools.build_kernels import TARGETS

ROOT = Path(__file__).parents[2]
ELF, MACH_O = b"\x7fELF", b"\xcf\xfa\xed\xfe"
PROCESSORS = {
    "linux-x86_64": (ELF, 62),
    "linux-aarch64": (ELF, 183),
    "macos-x86_64": (MACH_O, 0x01000007),
    "macos-arm64": (MACH_O, 0x0100000C),
}
SIGNATURE = 0x1D
"""The command of a Mach-O file that leads to its signature, without which ARM does not load it."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of a release."""
    out = tmp_path_factory.mktemp("release") / "dist"
    dist.build(out)
    return out


@pytest.fixture(scope="module")
def installed(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with what the tool needs, and its pure wheel."""
    return create(tmp_path_factory.mktemp("tried"), PYTHONS[0], LOCKS[0], pure(files))


def pure(files: Path) -> Path:
    return files / f"ckpt_tools-{__version__}-py3-none-any.whl"


def wheel_for(machine: str, files: Path) -> Path:
    return files / f"ckpt_tools-{__version__}-py3-none-{TARGETS[machine].tag}.whl"


def test_a_release_is_two_sources_and_a_wheel_for_each_system(files: Path) -> None:
    plugin = f"lerobot_policy_smolvla_reflow-{__version__}"
    assert {path.name for path in files.iterdir()} == {
        f"ckpt_tools-{__version__}.tar.gz",
        f"{plugin}.tar.gz",
        f"{plugin}-py3-none-any.whl",
        pure(files).name,
        *(wheel_for(machine, files).name for machine in TARGETS),
    }
    assert PROCESSORS.keys() == TARGETS.keys()


@pytest.mark.parametrize("machine", TARGETS)
def test_a_wheel_has_the_kernel_of_its_system(machine: str, files: Path) -> None:
    with zipfile.ZipFile(wheel_for(machine, files)) as archive:
        library = archive.read("ckpt_tools/values/libkernels.so")
        names = set(archive.namelist()) - {"ckpt_tools/values/libkernels.so"}
    kind, processor = PROCESSORS[machine]
    assert library.startswith(kind)
    where, size = ("<H", 18) if kind == ELF else ("<I", 4)
    assert struct.unpack_from(where, library, size)[0] == processor
    assert b"libc" not in library
    with zipfile.ZipFile(pure(files)) as archive:
        assert set(archive.namelist()) == names


def test_the_kernel_for_apples_own_processors_is_signed(files: Path) -> None:
    with zipfile.ZipFile(wheel_for("macos-arm64", files)) as archive:
        library = archive.read("ckpt_tools/values/libkernels.so")
    commands, at = [], 32
    for _ in range(struct.unpack_from("<I", library, 16)[0]):
        command, size = struct.unpack_from("<2I", library, at)
        commands.append(command)
        at += size
    assert SIGNATURE in commands


def test_the_metadata_is_valid_and_names_the_repository(files: Path) -> None:
    for wheel in files.glob("*.whl"):
        name, version, _, tags = parse_wheel_filename(wheel.name)
        with zipfile.ZipFile(wheel) as archive:
            (metadata,) = (part for part in archive.namelist() if part.endswith("/METADATA"))
            about = Metadata.from_email(archive.read(metadata), validate=True)
            assert any(part.endswith("/licenses/LICENSE") for part in archive.namelist())
        assert (about.name.replace("_", "-"), str(about.version)) == (name, __version__)
        assert str(version) == __version__
        assert tags
        assert about.project_urls
        assert "Repository" in about.project_urls
        assert about.description


@pytest.mark.slow
def test_the_pure_wheel_works(installed: Environment) -> None:
    assert "it works" in tried(installed, "pure")


@pytest.mark.slow
def test_the_wheel_made_from_the_sources_works(files: Path, installed: Environment) -> None:
    here = wheel_for("linux-x86_64" if sys.platform == "linux" else "macos-arm64", files)
    python = installed.programs / "python"
    uv("pip", "install", "--python", python, "--no-deps", "--reinstall", here)
    assert "it works" in tried(installed, "kernel")


def tried(installed: Environment, kernel: str) -> str:
    command: list[str | Path] = [
        ROOT / "tools/try_installed.sh",
        installed.programs / "ckpt",
        kernel,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- before a release -----------------------------------------------------------------------------


def ready() -> dict[str, str]:
    """The checkout's files once OWNER is filled in and the changelog has its heading."""
    filled = f"somebody/{dist.REPOSITORY}"
    texts = {name: text.replace(dist.PLACEHOLDER, filled) for name, text in dist.checkout().items()}
    return texts | {"CHANGELOG.md": f"## [{__version__}] - 2026-12-01\n\n## [0.1.0] - 2026-01-01\n"}


def test_a_checkout_that_names_the_release_everywhere_can_be_released() -> None:
    assert dist.problems(f"v{__version__}", ready()) == []


@pytest.mark.parametrize("name", ["ckpt_tools/__init__.py", "CHANGELOG.md", "docs/gate.md"])
def test_what_names_another_release_keeps_it_back(name: str) -> None:
    texts = ready()
    texts[name] = texts[name].replace(__version__, "9.9.9")
    (problem,) = dist.problems(f"v{__version__}", texts)
    assert problem.startswith(f"{name}: names 9.9.9")


def test_a_placeholder_keeps_a_release_back() -> None:
    found = dist.problems(f"v{__version__}", dist.checkout())
    assert f"pyproject.toml: {dist.PLACEHOLDER} is to be filled in" in found
    assert f"examples/ci/gate.yml: {dist.PLACEHOLDER} is to be filled in" in found


def test_windows_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit) as left:
        __main__.main()
    assert left.value.code == 2
    assert "WSL" in capsys.readouterr().err
