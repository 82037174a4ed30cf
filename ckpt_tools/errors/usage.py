"""Errors that are corrected in the command."""

from __future__ import annotations

from ckpt_tools.errors.error import CkptError


class UsageError(CkptError):
    """The command cannot be carried out as given."""


class PathNotFound(UsageError):
    """The path does not exist."""

    hint = "expected a checkpoint folder, a .safetensors file or a LeRobot run folder"


class NotACheckpoint(UsageError):
    """The path exists but contains no safetensors weights.

    `below` are the folders below it that do, where there are several.
    """

    below: tuple[str, ...] = ()

    hint = (
        "expected a folder with .safetensors weights, a .safetensors file or a LeRobot run folder"
    )


class NoRepository(PathNotFound):
    """The Hub has no such model, or hides it from this user."""

    hint = "check the spelling"


class HubNameInvalid(UsageError):
    """Not a valid name of a checkpoint on the Hub."""

    hint = "write hf://owner/name, hf://owner/name@revision or hf://owner/name@revision/folder"


class AccessRefused(UsageError):
    """The Hub denies access to the repository."""

    hint = "log in with `hf auth login`, or set HF_TOKEN to a token that can read it"


class RemoteNotSupported(UsageError):
    """The command needs local files, and the checkpoint is on the Hub."""


class UnknownSelection(UsageError):
    """A filter or an option names nothing that exists."""


class ProbeMissing(UsageError):
    """No installed package can load the policy."""

    hint = (
        "install the training core beside ckpt (lerobot_policy_smolvla_reflow), or omit the option;"
        " --load is for LeRobot policies"
    )


class LibraryMissing(UsageError):
    """A model library that would have to answer is not installed."""


class BaseMissing(UsageError):
    """What a config names on the Hub is not on this machine, and nothing is downloaded."""


class NothingAnswered(UsageError):
    """No library answers what a checkpoint's config asks of it."""


class NotComparable(UsageError):
    """The two checkpoints are policies of different families."""

    hint = "give the teacher first, or another working checkpoint of the same family"


class InputsRefused(UsageError):
    """The policies cannot take the observations or run in the environment."""

    hint = (
        "see docs/doctor.md for --batch, --dataset and --env; without them, observations are random"
    )


class PlotMissing(UsageError):
    """matplotlib, which draws the plot, is not installed."""

    hint = "pip install 'ckpt-tools[plot]', or omit --plot"


class ParquetMissing(UsageError):
    """pyarrow, which writes Parquet files, is not installed."""

    hint = "pip install 'ckpt-tools[parquet]'"


class EngineMissing(UsageError):
    """What runs an audit's workers is not installed."""

    hint = "pip install 'ckpt-tools[fleet]'"


class SpecInvalid(UsageError):
    """The file is not a lockfile (`schemas/spec.schema.json`)."""

    hint = "write it again: ckpt spec write"


class ManifestInvalid(UsageError):
    """The file is not a manifest (`schemas/manifest.schema.json`), or was edited."""

    hint = "write it again from a checkpoint that you trust: ckpt hash WHERE --write FILE"


class AuditInvalid(UsageError):
    """The file is not one that `ckpt audit run` wrote, or a newer release wrote it."""

    hint = "name a file that `ckpt audit run WHERE --out FILE` wrote"


class SettingsInvalid(UsageError):
    """The settings are invalid (`schemas/settings.schema.json`), or inside the checkpoint."""

    hint = "correct the settings file"


class BaselineInvalid(UsageError):
    """The file is not what `verify` or `gate` wrote with `--format json`."""

    hint = "write it first: ckpt gate WHERE --format json > FILE"


class EditRefused(UsageError):
    """A change that is not made; nothing was written."""


class RecipeInvalid(EditRefused):
    """The recipe is invalid (`schemas/recipe.schema.json`)."""


class NameTaken(EditRefused):
    """Two tensors would have the same name."""


class NothingLeft(EditRefused):
    """The plan would remove every tensor."""

    hint = "check the globs: `ckpt show --tree` lists the names; * matches one segment, ** several"


class NothingMatched(EditRefused):
    """A glob or a name selects nothing."""

    hint = "`ckpt show WHERE --tree` lists the names; * matches one segment, ** several"


class CastLossy(EditRefused):
    """A cast would change values."""

    hint = "pass --allow-lossy to round to the nearest"


class CastInfinite(EditRefused):
    """A cast would make finite values infinite, or NaN."""

    hint = (
        "leave these tensors out with --select, choose a dtype of larger range (BF16, F32), or pass"
        " --allow-infinite"
    )


class PatternTooSlow(EditRefused):
    """A regular expression takes too long on the checkpoint's names."""

    hint = "nested quantifiers such as (a+)+ can take forever: avoid them, or use a glob"


class PointerInvalid(EditRefused):
    """A JSON pointer (RFC 6901) is malformed, or points to nothing in the file."""


class OutputExists(EditRefused):
    """The output already exists."""

    hint = "choose another --output, or remove it first"


class OutputInside(EditRefused):
    """The output is inside the input, or the input inside the output."""

    hint = "choose another --output, outside of it"


class PlanStale(EditRefused):
    """The checkpoint has changed since the plan was made."""

    hint = "make the plan again: ckpt plan"
