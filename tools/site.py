"""Build the documentation site in site/: make docs, or python -m tools.site [FOLDER].

Its pages are the documents as GitHub shows them, with the README as the home page. Links to files
that are no pages lead to the repository. A link that leads nowhere is an error. The site needs no
server and asks none: it can be read, and searched, from a disk.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SETTINGS = ROOT / "tools" / "site.toml"
RULES = "docs/rules/README.md"
ELSEWHERE = {"README.md": "index.md", "lerobot_policy_smolvla_reflow/README.md": "plugin.md"}

SHIM = "https://unpkg.com/iframe-worker/shim"
"""What pages would load to be searched from a disk; tools/site_search.js takes its place."""

type Nav = list[Any]
"""Pages by their path in the checkout, and dicts of one title and the entries below it."""


def settings() -> tuple[dict[str, Any], str]:
    """Return the generator's settings, with the pages of rules in `nav`, and the repository."""
    found = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    pages = sorted(path.name for path in (ROOT / "docs" / "rules").glob("CK*.md"))
    below = [
        {title: [f"docs/rules/{name}" for name in pages if name.startswith(series)]}
        for series, title in found.pop("rules").items()
    ]
    for section in found["nav"]:
        for entries in section.values():
            entries.extend(below if RULES in entries else ())
    repository = found.pop("links")["repository"]
    found["extra"] = {"social": [{"icon": "fontawesome/brands/git-alt", "link": repository}]}
    return found, repository


def listed(nav: Nav) -> list[str]:
    """Return the pages of a navigation, in order."""
    return [
        page
        for entry in nav
        for page in ([entry] if isinstance(entry, str) else listed(*entry.values()))
    ]


def placed(nav: Nav) -> Nav:
    """Return a navigation with pages by their place in the site."""
    return [
        place(entry)
        if isinstance(entry, str)
        else {title: placed(below) for title, below in entry.items()}
        for entry in nav
    ]


def place(page: str) -> str:
    """Return where a page of the checkout is in the site's sources."""
    folder, name = posixpath.split(ELSEWHERE.get(page, page.removeprefix("docs/")))
    return posixpath.join(folder, "index.md" if name == "README.md" else name)


def linked(page: str, text: str, pages: set[str], repository: str) -> str:
    """Return the text of a page with its links as the site needs them."""

    def replaced(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), match[1]))
        if path in pages or path.endswith(".png"):
            path = posixpath.relpath(place(path), posixpath.dirname(place(page)) or ".")
        elif (ROOT / path).exists():
            path = f"{repository}/{'tree' if (ROOT / path).is_dir() else 'blob'}/main/{path}"
        return f"]({path}{match[2]})"

    return re.sub(r"\]\((?!\w+:)([^)#\s]+)((?:#[^)\s]*)?)\)", replaced, text)


def stage(folder: Path) -> None:
    """Write the site's sources and settings into a folder."""
    found, repository = settings()
    pages = listed(found["nav"])
    for page in pages:
        text = (ROOT / page).read_text(encoding="utf-8")
        target = folder / "docs" / place(page)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(linked(page, text, set(pages), repository), encoding="utf-8")
    for image in (ROOT / "docs").glob("*.png"):
        shutil.copy(image, folder / "docs")
    shutil.copy(ROOT / "tools" / "site_search.js", folder / "docs")
    # JSON is YAML, which the generator reads.
    about = json.dumps(found | {"nav": placed(found["nav"])})
    (folder / "mkdocs.yml").write_text(about, encoding="utf-8")


def generate(folder: Path) -> None:
    """Make the pages in `folder`/site. Raises CalledProcessError if a link leads nowhere."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    subprocess.run(command, check=True, cwd=folder)
    for page in (folder / "site").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        up = "../" * (len(page.relative_to(folder / "site").parts) - 1)
        page.write_text(text.replace(SHIM, f"{up}site_search.js"), encoding="utf-8")


def build(out: Path) -> None:
    """Build the site. Raises CalledProcessError if a link leads nowhere."""
    with tempfile.TemporaryDirectory() as name:
        stage(Path(name))
        generate(Path(name))
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(Path(name) / "site", out)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site").absolute())
