"""Rules about weight files as containers: who opens them, whether they arrived in full."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG, CONFIG, MODEL_INDEX, MODULES, WEIGHTS
from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.checkpoint.shard_index import shard_family
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import LEROBOT, profile_of
from ckpt_tools.rules.remedy import WHERE, Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile
    from ckpt_tools.rules.rule import Subject

_WHOLE_MODEL = re.compile(
    r"(?:.*\.)?(?:lm_head|embed_tokens|word_embeddings|wte|(?:layers|layer|h|blocks)\.\d+)\..+"
)
_LIBRARYS_NAME = re.compile(
    r"(?:.*\.)?(?:lm_head|embed_tokens|word_embeddings|wte|(?:layer|h)\.\d+|"
    r"model\.layers\.\d+\.\w+)\..+"
)
"""How transformers names a part of a model, where a program of one's own rarely does."""

_LIBRARYS_FILE = re.compile(
    r"(?:tokenizer|special_tokens_map|added_tokens|vocab|merges|chat_template|generation_config|"
    r"(?:pre)?processor_config|video_preprocessor|feature_extractor|trainer_state|training_args|"
    r"policy_|train_config)"
)
"""Files that transformers or LeRobot write beside the weights."""

_IDENTIFIES = (CONFIG, ADAPTER_CONFIG, MODEL_INDEX, MODULES)
_MATRIX = 2
_PAGE = 4096
_LONG = 1 << 20


@rule("CK139", "library-disagrees", Severity.ERROR, needs=Need.LIBRARY, supply_chain=True)
def library_disagrees(subject: Subject) -> Iterator[Violation]:
    """The installed safetensors library and this tool disagree about a weight file.

    Whoever loads the model does so with the library. What it rejects cannot be loaded, whatever
    this tool reads in it; what it accepts although this tool rejects it may be loaded as something
    that nobody checked. The two agree on every known file. A disagreement means that the library is
    older than the file's format, or that one of the two is wrong.

    Update the library and save the file again. If they still disagree, report it with the header.

    Bad:

        a dtype that the installed release does not know yet

    Good:

        a file that both read
    """
    for path, refusal in (subject.library or {}).items():
        if refusal:
            yield Violation(
                f"is readable here, but the installed safetensors library rejects it: {refusal}",
                path,
                next="update the library, or save the file again with it",
            )


@rule("CK140", "unfinished-hub-download", Severity.NOTE, needs=Need.FILES)
def unfinished_hub_download(subject: Subject) -> Iterator[Violation]:
    """A download from the Hub into the folder was not finished.

    The Hub's client writes a file under `.cache/huggingface/download/` until all of it has arrived.
    A part that is still there belongs to a file that is missing, or is an older one, unless a later
    download brought it. CK744 reports parts in the folder itself.

    Run `hf download` again: it fetches what is missing and checks the rest.

    Bad:

        .cache/huggingface/download/Hk3p….incomplete

    Good:

        .cache/huggingface/download/model.safetensors.metadata
    """
    if subject.unfinished:
        yield Violation(
            f"has {count(len(subject.unfinished), 'part')} of files whose download was not "
            "finished; files may be missing or older",
            subject.unfinished[0],
            next="run the download again, which fetches what is missing",
        )


@rule("CK141", "zeros-to-the-end", Severity.ERROR, needs=Need.VALUES)
def zeros_to_the_end(subject: Subject) -> Iterator[Violation]:
    """A weight file is zero from some offset to its end.

    Some programs reserve the whole file before they download it. If they stop, the rest stays zero:
    the file has its full size and a good header, and loads without an error. The zeros begin inside
    a tensor, where no training makes them begin, and run through all that follow.

    Fetch the file again and compare its SHA-256 with the one on the Hub.

    Bad (bytes of the payload):

        3f 9a 00 bd … 00 00 00 00 00 00 … 00 00

    Good:

        3f 9a 00 bd … 1c 3e 77 bd
    """
    for file in subject.checkpoint.weights:
        begins = file.payload_start + _payload(file) - (subject.zero_tails or {}).get(file.path, 0)
        cut = [tensor for tensor in file.tensors if file.payload_start + tensor.end > begins]
        if cut and _is_unfinished(file, cut, begins):
            rest = file.size - begins
            yield Violation(
                f"is zero from byte {begins:,} to its end, {rest:,} bytes: in the middle of this "
                f"tensor, and {count(len(cut) - 1, 'tensor')} after it",
                file.path,
                cut[0].name,
                "fetch the file again, and compare its SHA-256",
            )


def _is_unfinished(file: TensorFile, cut: list[Tensor], begins: int) -> bool:
    """Whether the zeros look like what was not written.

    That is if they begin inside a tensor, and go on through a matrix after it or for a mebibyte
    from the start of a page. An embedding whose last rows are padding has fewer.
    """
    inside = begins - file.payload_start - cut[0].start
    if inside <= 0 or file.size - begins < cut[0].dtype.bits:
        return False
    matrices = [tensor for tensor in cut[1:] if len(tensor.shape) >= _MATRIX and tensor.nbytes]
    return bool(matrices) or (file.size - begins >= _LONG and begins % _PAGE == 0)


def _payload(file: TensorFile) -> int:
    return file.size - file.payload_start


@rule("CK214", "weights-without-config", Severity.ERROR, needs=Need.FILES)
def weights_without_config(subject: Subject) -> Iterator[Violation]:
    """Weights of a whole model without a config.json.

    `from_pretrained` reads config.json first: it says which class to build and how large. Without
    it no library can load the folder. Trainers that save with FSDP or DeepSpeed write the weights
    alone when the config is not saved beside them.

    Copy config.json from the model that was trained, and the tokenizer. A file that another program
    loads by itself, such as a LoRA, needs none, and is not called model.safetensors. Weights whose
    names are no library's, with no library's files beside them, may be those of a program of your
    own: then it is only a note.

    Bad:

        model.safetensors

    Good:

        config.json
        model.safetensors
    """
    checkpoint = subject.checkpoint
    if any(path in _IDENTIFIES for path in checkpoint.paths) or not checkpoint.weights:
        return
    if profile_of(subject).name == LEROBOT.name:
        return  # CK711 says so of a policy
    family = shard_family(checkpoint.weights[0].path)
    is_model = checkpoint.weights[0].path == WEIGHTS or (
        family is not None and family[0] == "model"
    )
    if is_model and any(_WHOLE_MODEL.fullmatch(unwrapped(one.name)) for one in checkpoint.tensors):
        is_note = not _is_a_librarys(checkpoint)
        yield Violation(
            f"there is no {CONFIG}: no library can tell what model the weights are of",
            CONFIG,
            next=_copied(checkpoint, " unless a program of yours knows it" * is_note),
            severity=Severity.NOTE if is_note else None,
        )


def _copied(checkpoint: Checkpoint, unless: str) -> Remedy:
    """Return where config.json is from, and how one file of weights is checked alone."""
    text = f"copy {CONFIG} from the model that was trained,{unless}".rstrip(",")
    if len(checkpoint.weights) > 1:
        return Remedy(text=text)
    alone = ("ckpt", "verify", f"{WHERE}/{checkpoint.weights[0].path}")
    return Remedy(alone, f"{text}; {{}} checks the weights alone")


def _is_a_librarys(checkpoint: Checkpoint) -> bool:
    """Whether names of tensors or of files are those of a library that reads config.json."""
    names = (unwrapped(tensor.name) for tensor in checkpoint.tensors)
    return any(map(_LIBRARYS_NAME.fullmatch, names)) or any(
        map(_LIBRARYS_FILE.match, checkpoint.paths)
    )
