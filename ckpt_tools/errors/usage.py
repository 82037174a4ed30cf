"""What the person who typed the command must change."""

from __future__ import annotations

from ckpt_tools.errors.error import CkptError


class UsageError(CkptError):
    """The command asks for something that cannot be done."""


class PathNotFound(UsageError):
    """The path does not exist."""

    hint = "check the spelling; a folder, a .safetensors file or a LeRobot run folder is expected"


class NotACheckpoint(UsageError):
    """The path exists but holds no safetensors weights."""

    hint = "name a folder that holds model.safetensors (or shards with an index), a .safetensors file, or a LeRobot run folder"


class NoRepository(PathNotFound):
    """The Hub has a model of that name that who asks may see."""

    hint = "check the spelling"


class HubNameInvalid(UsageError):
    """A checkpoint on the Hub is named `hf://owner/name`, with a revision and a path where wanted."""

    hint = "write hf://owner/name, hf://owner/name@revision or hf://owner/name@revision/folder"


class AccessRefused(UsageError):
    """The Hub lets who asks read the repository."""

    hint = "log in with `hf auth login`, or set HF_TOKEN to a token that may read it"


class RemoteNotSupported(UsageError):
    """What was asked for needs the checkpoint on this machine, not on the Hub."""


class UnknownSelection(UsageError):
    """A filter or an option that names nothing."""


class ProbeMissing(UsageError):
    """Loading a policy needs the package that knows how, in the Python that runs `ckpt`."""

    hint = (
        "leave --load out, or install the training core beside ckpt: lerobot_policy_smolvla_reflow"
    )


class NotComparable(UsageError):
    """A diagnosis compares two policies of one family."""

    hint = "name the teacher, or another checkpoint of the same kind that works, first"


class InputsRefused(UsageError):
    """The live part acts on observations that both policies know, in an environment that LeRobot can make."""

    hint = "see docs/doctor.md for what --batch, --dataset and --env can be; without them observations are drawn"


class PlotMissing(UsageError):
    """A picture is drawn by matplotlib, which the tool alone does not bring."""

    hint = "pip install 'ckpt-tools[plot]', or leave --plot out"


class SpecInvalid(UsageError):
    """A lockfile lists a dtype and a shape for every tensor, as `schemas/spec.schema.json` says."""

    hint = "write it again: ckpt spec write"


class ManifestInvalid(UsageError):
    """A manifest lists the digest of every tensor and file, as `schemas/manifest.schema.json` says, and the content digest that follows from them."""

    hint = "write it again from a checkpoint that you trust: ckpt hash WHERE --write FILE"


class SettingsInvalid(UsageError):
    """Settings are TOML with the keys that `schemas/settings.schema.json` lists, and lie outside the checkpoint that they judge."""

    hint = "correct the settings file"


class EditRefused(UsageError):
    """A change that is not made; nothing was written."""


class RecipeInvalid(EditRefused):
    """A recipe is a list of operations, each with the fields that `schemas/recipe.schema.json` lists."""


class NameTaken(EditRefused):
    """After a rename every tensor has a name of its own."""


class NothingLeft(EditRefused):
    """A plan leaves at least one tensor."""

    hint = "check the globs: `ckpt show --tree` prints the names; * stands for one segment, ** for several"


class CastLossy(EditRefused):
    """A cast keeps every value, unless it is asked for by name to round."""

    hint = "pass --allow-lossy to round to the nearest"


class PatternTooSlow(EditRefused):
    """A regular expression is done with a checkpoint's names in seconds."""

    hint = "a quantifier inside another, such as (a+)+, can take forever: write it without, or use a glob"


class PointerInvalid(EditRefused):
    """A JSON pointer (RFC 6901) leads to a place in the file."""


class OutputExists(EditRefused):
    """A new folder or file is written where there is none."""

    hint = "name another place with --output, or move the old one away"


class OutputInside(EditRefused):
    """What is written lies neither in nor around what is read."""

    hint = "name a place outside with --output"


class PlanStale(EditRefused):
    """A plan is applied to the very checkpoint it was made for."""

    hint = "make the plan again: ckpt plan"
