"""Build the files of a release in dist/: make dist, or python -m tools.dist [FOLDER].

For both distributions a source distribution, and from it their wheels: for the tool one for each
machine of `build_kernels.TARGETS`, compiled on this machine, and a pure one for all others.

    python -m tools.dist --check TAG

builds nothing, and exits 1 if something in this checkout names another release than TAG, such as
v0.2.0, or no repository yet.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tools.build_kernels import KERNEL_FOR, NO_KERNEL, TARGETS

ROOT = Path(__file__).parent.parent
PLUGIN = "lerobot_policy_smolvla_reflow"

REPOSITORY = "ckpt-tools"
PLACEHOLDER = f"OWNER/{REPOSITORY}"
"""What stands for this project's own repository until it has one."""

_VERSIONS = {
    "ckpt_tools/__init__.py": r'^__version__ = "(.*)"$',
    f"{PLUGIN}/pyproject.toml": r'^version = "(.*)"$',
    "CHANGELOG.md": r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$",
    "docs/install.md": r"ckpt-tools@v([\d.]*\d)",
    "docs/gate.md": r"ckpt-tools@v([\d.]*\d)|rev: v([\d.]*\d)",
    "examples/ci/gate.yml": r"ckpt-tools@v([\d.]*\d)",
    "examples/ci/pre-commit-config.yaml": r"rev: v([\d.]*\d)",
}
"""Where the version is named: the changelog's first heading, and all others."""


def problems(tag: str, texts: dict[str, str]) -> list[str]:
    """Return what in the files of a checkout keeps it from being released as `tag`."""
    found = [
        f"{name}: {PLACEHOLDER} is to be filled in"
        for name, text in sorted(texts.items())
        if PLACEHOLDER in text
    ]
    for name, pattern in _VERSIONS.items():
        matches = re.finditer(pattern, texts[name], re.MULTILINE)
        named = ["".join(match.groups("")) for match in matches]
        if name == "CHANGELOG.md":
            named = named[:1]
        if not named or any(f"v{version}" != tag for version in named):
            found.append(f"{name}: names {', '.join(named) or 'no version'}, and the tag is {tag}")
    return found


def checkout() -> dict[str, str]:
    """Read the files of the checkout that are text, by name."""
    command = ["git", "-C", str(ROOT), "ls-files", "*.md", "*.toml", "*.y*ml", "*.py"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in names.splitlines()}


def build(out: Path) -> None:
    """Write all files of a release. Raises RuntimeError if the kernel is missing in one."""
    out.mkdir(parents=True)
    for project in (ROOT, ROOT / PLUGIN):
        _hatchling(project, "sdist", out)
    with tempfile.TemporaryDirectory() as folder:
        for sdist in sorted(out.glob("*.tar.gz")):
            with tarfile.open(sdist) as archive:
                archive.extractall(folder, filter="data")
            source = Path(folder) / sdist.name.removesuffix(".tar.gz")
            _hatchling(source, "wheel", out, **{NO_KERNEL: "1"})
            for machine in TARGETS if sdist.name.startswith("ckpt_tools-") else ():
                _hatchling(source, "wheel", out, **{KERNEL_FOR: machine})
    if len(wheels := list(out.glob("ckpt_tools-*.whl"))) != len(TARGETS) + 1:
        raise RuntimeError(f"the kernel was not compiled for all machines: {wheels}")


def _hatchling(project: Path, kind: str, out: Path, **environment: str) -> None:
    inherited = {name: os.environ[name] for name in os.environ if name != NO_KERNEL}
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        kind,
        "--directory",
        str(out),
    ]
    subprocess.run(command, check=True, cwd=project, env=inherited | environment)


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    if arguments[:1] == ["--check"]:
        found = problems(arguments[1], checkout())
        print("\n".join(found) or f"everything names {arguments[1]}")
        return bool(found)
    out = Path(arguments[0] if arguments else ROOT / "dist").absolute()
    shutil.rmtree(out, ignore_errors=True)
    build(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
