"""Rules about models that consist of several: diffusers pipelines, sentence-transformers.

They are checked once on the whole; each component is checked as a checkpoint of its own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import MODEL_INDEX
from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import GENERIC, profile_of
from ckpt_tools.rules.rule import Violation, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.composition import Component
    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry

_composed = partial(rule, needs=Need.HEADERS, kinds=(Kind.PIPELINE, Kind.SENTENCE))

_SUFFIX = ".safetensors"


@_composed("CK950", "component-missing", Severity.ERROR)
def component_missing(subject: Subject) -> Iterator[Violation]:
    """A component of the model has nothing that can be loaded.

    model_index.json of a diffusers pipeline and modules.json of a sentence-transformers model list
    the model's components. The libraries load each from its own folder, and loading fails where the
    folder or its weights are missing: the upload was not finished, or weights were left out by
    their name. A component that model_index.json sets to [null, null] is left out on purpose, and
    schedulers, tokenizers, feature extractors and pooling have no weights.

    Copy the component's folder from where the model was saved, or save the model again. Set a
    component to [null, null] only if the pipeline works without it, as without a safety checker.

    Bad:

        model_index.json    {"unet": ["diffusers", "UNet2DConditionModel"]}
        unet/config.json

    Good:

        model_index.json    {"unet": ["diffusers", "UNet2DConditionModel"]}
        unet/config.json
        unet/diffusion_pytorch_model.safetensors
    """
    composed = subject.composition
    for part in composed.components if composed else ():
        what = _absent(part, is_pipeline=composed is not None and composed.path == MODEL_INDEX)
        if what:
            yield Violation(
                f"{what}, and {composed.path if composed else ''} lists it as {part.kind}",
                part.folder,
                "",
                "copy its folder from where the model was saved, or save the model again",
            )


def _absent(part: Component, *, is_pipeline: bool) -> str:
    """Return what is missing of a component, "" if nothing is."""
    if not part.is_there:
        is_fault = part.needs_weights or is_pipeline  # git keeps no empty folder of a module
        return f"the component {part.name} has no folder" * is_fault
    if not part.needs_weights or part.weights or part.variants or part.pickle:
        return ""
    return f"the component {part.name} {part.fault or 'has no weights'}"


@_composed("CK951", "component-unchecked", Severity.WARNING)
def component_unchecked(subject: Subject) -> Iterator[Violation]:
    """A component's weights are a pickle.

    Pickles can run code when they are loaded, and are never opened here: nothing is known about the
    tensors of this component. The library loads the pickle where no safetensors file is beside it.

    Save the component as safetensors: `save_pretrained(…, safe_serialization=True)`.

    Bad:

        unet/diffusion_pytorch_model.bin

    Good:

        unet/diffusion_pytorch_model.safetensors
    """
    for part in subject.composition.components if subject.composition else ():
        if part.pickle and part.needs_weights and not (part.weights or part.variants):
            yield Violation(
                f"the component {part.name} has its weights only in a pickle, which is not checked",
                f"{part.folder}/{part.pickle}".lstrip("/"),
                "",
                "save the component as safetensors",
            )


@_composed("CK952", "component-variant-only", Severity.NOTE)
def component_variant_only(subject: Subject) -> Iterator[Violation]:
    """A component has weights only under a variant's name.

    diffusers and transformers load model.fp16.safetensors only if they are called with
    `variant="fp16"`. Without it, loading fails, since there is no file of the usual name.

    Say so on the model card, or save the component under the usual name, too.

    Bad:

        unet/diffusion_pytorch_model.fp16.safetensors

    Good:

        unet/diffusion_pytorch_model.safetensors
        unet/diffusion_pytorch_model.fp16.safetensors
    """
    for part in subject.composition.components if subject.composition else ():
        if part.variants and not part.weights:
            names = (one.index_file or one.weights[0] for one in part.variants)
            yield Violation(
                f"the component {part.name} has only {', '.join(names)}; "
                "it is loaded only with that variant",
                part.folder,
            )


@_composed("CK953", "component-unlisted", Severity.NOTE)
def component_unlisted(subject: Subject) -> Iterator[Violation]:
    """Weights in a pipeline that no component names.

    The list of components decides what the library loads. A folder with weights that the list does
    not name, or a weight file beside the list, is downloaded and not loaded, and it was not
    checked: it may be of another version, or a copy for other programs, as many pipelines have one.

    Leave it out if nobody needs it; to check it, name its folder or file.

    Bad:

        model_index.json    {"unet": ["diffusers", "UNet2DConditionModel"]}
        unet/diffusion_pytorch_model.safetensors
        unet_ema/diffusion_pytorch_model.safetensors

    Good:

        model_index.json    {"unet": ["diffusers", "UNet2DConditionModel"]}
        unet/diffusion_pytorch_model.safetensors
    """
    if profile_of(subject).name != GENERIC.name:
        return  # CK819 judges it
    for path, files in _unlisted(subject).items():
        what = (
            f"has {len(files):,} weight files that no component names; they were not checked"
            if path.endswith("/")
            else "is a weight file that no component names; it was not checked"
        )
        yield Violation(what, path, "", "leave it out, or check it by its own name")


def _unlisted(subject: Subject) -> dict[str, list[Entry]]:
    """Return the weight files that no component names, by top folder (or path in the root)."""
    composed = subject.composition
    found: dict[str, list[Entry]] = {}
    if composed is None:
        return found
    folders = {part.folder for part in composed.components}
    for entry in subject.entries or ():
        folder, _, _ = entry.path.rpartition("/")
        if entry.is_file and entry.path.endswith(_SUFFIX) and not _is_listed(folder, folders):
            found.setdefault(f"{entry.path.split('/')[0]}/" if folder else entry.path, []).append(
                entry
            )
    return found


def _is_listed(folder: str, folders: set[str]) -> bool:
    return any(folder == one or (one and folder.startswith(f"{one}/")) for one in folders)
