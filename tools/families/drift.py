"""Which names changed between releases, measured: `python -m tools.families.drift`.

Each release is installed without its dependencies into a throw-away folder beside the installed
torch, and runs in a process of its own. The oldest release that has an architecture saves a toy
model; every other loads that file and saves it anew, in its own spelling of the names; then every
release is given every spelling to read. A tensor is recognised by its bytes, so that nothing is
guessed from names. Results: `spellings.json` beside this module, from which the generator puts
`spellings` into the families' files, and `docs/families-drift.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from tools.families.drift_page import page
from tools.families.drift_read import entries
from tools.families.drift_toys import TOYS
from tools.families.spellings import FILE, measurements
from tools.families.write import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

type Json = dict[str, Any]

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DATA = os.path.join(ROOT, "ckpt_tools", "families", "data")
PAGE = os.path.join(ROOT, "docs", "families-drift.md")
FORMS = ("save_pretrained", "new", "state_dict")
"""How a release writes names: of a model that it loaded, of one that it built, of the modules."""


class Release(NamedTuple):
    """A release and what must be installed beside it, because it refuses what is there."""

    version: str
    needs: tuple[str, ...] = ()


RELEASES = (
    Release("4.51.3", ("huggingface_hub==0.36.0", "tokenizers==0.21.4")),
    Release("4.57.6", ("huggingface_hub==0.36.0",)),
    Release("5.0.0"),
    Release("5.5.4"),
    Release("5.24.0", ("tokenizers==0.23.1",)),
)


def main(arguments: Sequence[str]) -> int:
    """Measure the drift of every toy, and write both files."""
    parser = argparse.ArgumentParser(prog="python -m tools.families.drift")
    parser.add_argument("--work", default="/tmp/ckpt-drift", help="folder for releases and toys")  # noqa: S108 - the option names another
    parser.add_argument("--again", action="store_true", help="only write the files again")
    options = parser.parse_args(arguments)
    if not options.again:
        found = measured(options.work)
        with open(FILE, "w", encoding="utf-8") as file:
            file.write(text(found))
    with open(PAGE, "w", encoding="utf-8") as into:
        into.write(page(measurements()))
    for name, of in measurements()["families"].items():
        _into_family(os.path.join(DATA, f"{name}.json"), of)
    return 0


def _into_family(path: str, found: Sequence[Json]) -> None:
    """Put what was measured into a family's file, if it has one."""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        with open(path, "w", encoding="utf-8") as into:
            into.write(
                text(
                    {key: content[key] for key in content if key != "spellings"}
                    | {"spellings": found}
                )
            )


# --- measuring ------------------------------------------------------------------------------------


def measured(work: str) -> Json:
    """Return the spellings of every family, measured in all releases."""
    paths = {release.version: installed(release, work) for release in RELEASES}
    toys = {f"{key}/{architecture}": config for (key, architecture), config in TOYS.items()}
    base, saved = _saved_everywhere(toys, paths, work)
    spellings = {toy: _spellings(found) for toy, found in saved.items()}
    read = _read_everywhere(spellings, base, paths, work)
    families: dict[str, list[Json]] = {}
    for toy, found in spellings.items():
        key, architecture = toy.split("/")
        families.setdefault(f"transformers/{key}", []).extend(
            _entries(architecture, saved[toy], found, read[toy])
        )
    return {
        "releases": [f"transformers {release.version}" for release in RELEASES],
        "families": families | entries(DATA),
    }


def installed(release: Release, work: str) -> str:
    """Install a release and return its import path."""
    into = os.path.join(work, f"transformers-{release.version}")
    if not os.path.isdir(into):
        wanted = (f"transformers=={release.version}", *release.needs)
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", into)
        subprocess.run((*pip, *wanted), check=True)
    return into


def _run(jobs: Sequence[Json], version: str, paths: Mapping[str, str], work: str) -> list[Json]:
    """Return the answers of one release, or those that it gave to the same jobs before."""
    asked = json.dumps(list(jobs))
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    file = os.path.join(work, f"jobs-{version}-{digest}.json")
    if not os.path.exists(f"{file}.answer.json"):
        _ask(file, asked, version, paths)
    with open(f"{file}.answer.json", encoding="utf-8") as answer:
        found = json.load(answer)
    if found["version"] != version:
        raise SystemExit(f"{found['version']} answered for {version}: remove {paths[version]}")
    answers: list[Json] = found["answers"]
    return answers


def _ask(file: str, asked: str, version: str, paths: Mapping[str, str]) -> None:
    """Let a release answer."""
    with open(file, "w", encoding="utf-8") as into:
        into.write(asked)
    own = {"PYTHONPATH": paths[version], "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    program = os.path.join(HERE, "drift_probe.py")
    # -P: this folder has a module named as one of the standard library.
    subprocess.run((sys.executable, "-P", program, file), env=os.environ | own, check=True)


type _Saved = dict[str, dict[str, dict[str, dict[str, str]]]]
"""By toy, release and form: the digests of tensors by name."""


def _saved_everywhere(
    toys: Mapping[str, Json], paths: Mapping[str, str], work: str
) -> tuple[dict[str, str], _Saved]:
    """Return the folder of each toy's first file, and what every release makes of it."""
    base: dict[str, str] = {}
    saved: _Saved = {toy: {} for toy in toys}
    waiting = list(paths)
    while waiting and len(base) < len(toys):
        version = waiting.pop(0)
        _keep(version, _save_all(version, toys, base, paths, work), base, saved, work)
    with ThreadPoolExecutor() as pool:
        answers = list(
            pool.map(lambda version: _save_all(version, toys, base, paths, work), waiting)
        )
    for version, found in zip(waiting, answers, strict=True):
        _keep(version, found, base, saved, work)
    return base, saved


def _save_all(
    version: str,
    toys: Mapping[str, Json],
    base: Mapping[str, str],
    paths: Mapping[str, str],
    work: str,
) -> list[Json]:
    """Return what a release makes of every toy: of its first file, or of its config if none is."""
    jobs = []
    for toy, config in toys.items():
        into = os.path.join(work, "toys", version, toy)
        job: Json = {"do": "make", "architecture": toy.split("/")[1], "into": into}
        source = base.get(toy)
        job |= (
            {"do": "resave", "source": source, "config_from": source}
            if source
            else {"config": config}
        )
        jobs.append(job)
    return _run(jobs, version, paths, work)


def _keep(
    version: str, answers: Sequence[Json], base: dict[str, str], saved: _Saved, work: str
) -> None:
    for toy, answer in zip(saved, answers, strict=True):
        if "error" in answer:
            sys.stderr.write(f"{version} {toy}: {answer['error']}\n")
            continue
        answer.setdefault("new", answer["save_pretrained"])
        saved[toy][version] = answer
        base.setdefault(toy, os.path.join(work, "toys", version, toy, "save_pretrained"))


def _spellings(saved: Mapping[str, Mapping[str, Mapping[str, str]]]) -> dict[str, tuple[str, str]]:
    """Return (release, form) of the first file of each distinct set of names."""
    found: dict[str, tuple[str, str]] = {}
    for form in FORMS:
        for version, forms in saved.items():
            found.setdefault("\n".join(sorted(forms[form])), (version, form))
    return found


type _Read = dict[str, dict[str, dict[str, Json]]]
"""By toy, spelling and release: what came of reading it."""


def _read_everywhere(
    spellings: Mapping[str, Mapping[str, tuple[str, str]]],
    base: Mapping[str, str],
    paths: Mapping[str, str],
    work: str,
) -> _Read:
    found: _Read = {toy: {names: {} for names in of} for toy, of in spellings.items()}
    places = [(toy, names, at) for toy, of in spellings.items() for names, at in of.items()]
    jobs = [
        {
            "do": "read",
            "architecture": toy.split("/")[1],
            "config_from": base[toy],
            "source": os.path.join(work, "toys", at[0], toy, at[1]),
        }
        for toy, _, at in places
    ]
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda version: _run(jobs, version, paths, work), paths))
    for version, given in zip(paths, answers, strict=True):
        for (toy, names, _), answer in zip(places, given, strict=True):
            found[toy][names][version] = answer
    return found


# --- what the families' files say -----------------------------------------------------------------


def _entries(
    architecture: str,
    saved: Mapping[str, Mapping[str, Mapping[str, str]]],
    spellings: Mapping[str, tuple[str, str]],
    read: Mapping[str, Mapping[str, Json]],
) -> Iterator[Json]:
    """Yield an entry for each spelling; names only where there is more than one."""
    first = next(iter(saved.values()))["save_pretrained"]
    for names, (version, form) in spellings.items():
        writers = {
            by: [one for one, forms in saved.items() if "\n".join(sorted(forms[by])) == names]
            for by in FORMS
        }
        writing = [one for one in saved if any(one in of for of in writers.values())]
        own = saved[version][form]
        yield {
            "architecture": architecture,
            "releases": list(saved),
            "since": writing[0],
            "until": writing[-1],
            "written": {by: versions for by, versions in writers.items() if versions},
            "read": [one for one, answer in read[names].items() if _is_read(answer, read)],
            "tensors": len(own),
            **(_names(first, own) if len(spellings) > 1 else {}),
        }


def _names(first: Mapping[str, str], own: Mapping[str, str]) -> Json:
    """Return the pairs of names in the first spelling and here, the same tensor by its bytes.

    Where tensors were split or stacked, only the names here.
    """
    pairs = _by_bytes(first, own)
    if len(pairs) < max(len(first), len(own)):
        return {"regrouped": list(dict.fromkeys(map(_star, own)))}
    return {"names": [list(one) for one in dict.fromkeys((_star(a), _star(b)) for a, b in pairs)]}


def _is_read(answer: Json, read: Mapping[str, Mapping[str, Json]]) -> bool:
    """Whether every tensor came to its place: none missing or left over, and the values' sum."""
    if "error" in answer or answer["missing"] or answer["unexpected"] or answer["mismatched"]:
        return False
    sums = [one["sum"] for of in read.values() for one in of.values() if "sum" in one]
    usual = max(sums, key=sums.count)
    return bool(abs(answer["sum"] - usual) <= 1e-6 * usual)


def _by_bytes(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str]]:
    names = {digest: name for name, digest in new.items()}
    return [(name, names[digest]) for name, digest in old.items() if digest in names]


def _star(name: str) -> str:
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
