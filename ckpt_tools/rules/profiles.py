"""Profiles of the gate: which files a folder may have, which it must have, what its card contains.

A profile is chosen by name, or by the config.
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG, WEIGHTS
from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX
from ckpt_tools.families.kinds import Kind

if TYPE_CHECKING:
    from ckpt_tools.rules.rule import Subject


class Profile(NamedTuple):
    """What an upload may and must contain.

    `allowed` are globs of files that may be uploaded, besides license texts: one without `/`
    matches the file's name, one with it the path, in any case of letters. Each glob of `required`
    must match a file of the folder. `card` are the keys of the README's front matter; `a|b` is met
    by either; () needs no card. `largest` is the most bytes of a file, `many` the most files of a
    folder, `most` those of all.
    """

    name: str
    allowed: tuple[str, ...]
    required: tuple[str, ...]
    card: tuple[str, ...]
    largest: int = 50_000_000_000
    many: int = 10_000
    most: int = 100_000


_PAGES = ("*.md", ".gitattributes", ".gitignore")
_PICTURES = ("*.png", "*.jpg", "*.jpeg", "*.gif", "*.webp", "*.mp4")
_TOKENIZERS = (
    "vocab.txt", "vocab.bpe", "merges.txt", "tokenizer.model", "tokenizer.model.v[0-9]*",
    "spiece.model", "sentencepiece.model", "sentencepiece.bpe.model", "*.spm", "*.tiktoken",
    "*.jinja",
)  # fmt: skip
_LEGAL = re.compile(
    r"(?:licen[cs]e|notice|citation|copying|authors)(?:[\w-]|\.\d)*"
    r"(?:\.(?:md|txt|cff|bib|html|rst))?",
    re.IGNORECASE | re.ASCII,
)
"""Texts that every profile allows: LICENSE, LICENSE-MIT, CITATION.cff, but not LICENSE.onnx."""

_NEVER = r"(?!)"

LEROBOT = Profile(
    name="lerobot",
    allowed=("*.safetensors", "*.json", *_PAGES, *_PICTURES, *_TOKENIZERS),
    required=(CONFIG, WEIGHTS),
    card=("license", "library_name", "pipeline_tag"),
)
TRANSFORMERS = Profile(
    name="transformers",
    allowed=("*.safetensors", "*.json", *_PAGES, *_PICTURES, *_TOKENIZERS),
    required=(CONFIG, "*.safetensors"),
    card=("license", "pipeline_tag|base_model"),
)
GENERIC = Profile(
    name="generic",
    allowed=(
        "*.safetensors",
        "*.json",
        "*.jsonl",
        "*.txt",
        "*.yaml",
        "*.yml",
        "*.csv",
        *_PAGES,
        *_PICTURES,
        *_TOKENIZERS,
    ),
    required=("*.safetensors",),
    card=("license",),
)
PROFILES = {profile.name: profile for profile in (LEROBOT, TRANSFORMERS, GENERIC)}


def profile_of(subject: Subject) -> Profile:
    """Return the profile that the gate chose, or else the one that the config implies.

    A model of several kinds is judged as a LeRobot policy if it is one.
    """
    if subject.profile:
        return subject.profile
    kinds = subject.kinds
    if subject.family.name.startswith("smolvla") or Kind.POLICY in kinds:
        return LEROBOT
    return TRANSFORMERS if Kind.TRANSFORMERS in kinds else GENERIC


def is_collection(subject: Subject) -> bool:
    """Whether a folder has several models' weights: a pipeline's parts, several LoRAs.

    The profile generic accepts it.
    """
    paths = [entry.path for entry in subject.entries or () if entry.kind in ("file", "link")]
    weights = [path for path in paths if path.endswith(".safetensors") and not is_state(path)]
    is_one = any(
        "/" not in path and (path == WEIGHTS or path.endswith(INDEX_SUFFIX)) for path in paths
    )
    return bool(weights) and not is_one and profile_of(subject).name == GENERIC.name


def is_state(path: str) -> bool:
    """Whether a file is the state of a processor, by its name, and not a model's weights."""
    return path.startswith(("policy_preprocessor_", "policy_postprocessor_"))


def allows(profile: Profile, path: str) -> bool:
    """Whether a profile allows a file, by its path."""
    return matches(path, profile.allowed) or _LEGAL.fullmatch(path.rpartition("/")[2]) is not None


def matches(path: str, globs: tuple[str, ...]) -> bool:
    """Whether a glob matches `path` in any case of letters; one without `/` its last part."""
    names, paths = _expressions(globs)
    return bool(
        names.fullmatch(path.removesuffix("/").rpartition("/")[2].lower())
        or paths.fullmatch(path.lower())
    )


@cache
def _expressions(globs: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the expressions for names and for paths."""
    names = "|".join(translate(glob.lower()) for glob in globs if "/" not in glob)
    paths = "|".join(translate(glob.lower()) for glob in globs if "/" in glob)
    return re.compile(names or _NEVER), re.compile(paths or _NEVER)
