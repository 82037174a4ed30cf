"""Every verb takes a path as a string or as a path object, and returns the same either way."""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.api import _doctor_live, config
from ckpt_tools.checkpoint.spec import spec_of, write_spec
from ckpt_tools.edit.operations import Drop
from ckpt_tools.errors import ProbeMissing
from ckpt_tools.report.json.document import dump
from ckpt_tools.report.json.findings import document
from ckpt_tools.storage import hub_api
from ckpt_tools.storage.hub_name import RemoteFile, Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[2]

type Kind = type[str | Path]
type Arguments = dict[str, Any]

VERBS: dict[str, Callable[..., object]] = {
    name: getattr(api, name) for name in set(api.__all__) - {"config", "types"}
} | {
    f"config.{verb.__name__}": verb
    for verb in (
        config.get,
        config.set_value,
        config.unset_values,
        config.diff,
        config.validate,
        config.find,
    )
}

# Every path of every verb, by parameter, and the other arguments that a call needs.
PATHS: Mapping[str, dict[str, str]] = {
    "audit": {"wheres": "normal", "out": "new.db", "settings": "ckpt.toml"},
    "audit_engine": {"folder": "work"},
    "audit_graph": {"path": "audit.db"},
    "check_manifest": {"where": "normal", "against": "manifest.json"},
    "check_remote": {"where": "normal"},
    "compare_audits": {"old": "audit.db", "new": "audit.db"},
    "convert_names": {"where": "normal"},
    "diagnose": {"normal": "normal", "reflow": "reflow"},
    "diff": {"a": "normal", "b": "reflow"},
    "export_audit": {"path": "audit.db", "folder": "new"},
    "gate": {
        "where": "reflow",
        "settings": "ckpt.toml",
        "reference": "normal",
        "spec": "spec.json",
        "baseline": "baseline.json",
    },
    "load_plan": {"path": "plan.json"},
    "manifest": {"where": "normal", "write": "new.json"},
    "plan": {"where": "reflow"},
    "read": {"where": "normal"},
    "read_audit": {"path": "audit.db"},
    "recover": {"where": "normal"},
    "restore": {"where": "reflow"},
    "sanitize": {"where": "reflow", "reference": "normal"},
    "save_plan": {"path": "new.json"},
    "show": {"where": "normal"},
    "spec": {"where": "normal"},
    "upload": {
        "where": "normal",
        "settings": "ckpt.toml",
        "reference": "normal",
        "spec": "spec.json",
    },
    "verify": {
        "where": "reflow",
        "reference": "normal",
        "spec": "spec.json",
        "settings": "ckpt.toml",
        "baseline": "baseline.json",
    },
    "work_on_task": {"folder": "work"},
    "write": {"output": "new", "receipt": "new.json"},
    "config.get": {"where": "normal", "file": "config.json"},
    "config.set_value": {"where": "normal", "file": "config.json"},
    "config.unset_values": {"where": "normal", "file": "config.json"},
    "config.diff": {"a": "normal", "b": "reflow", "file": "config.json"},
    "config.validate": {"where": "normal", "file": "config.json"},
    "config.find": {"where": "normal", "file": "config.json"},
}
OTHERS: Mapping[str, Callable[[], Arguments]] = {
    "audit_engine": lambda: {"name": "local"},
    "check_remote": lambda: {"repository": "tester/thing"},
    "convert_names": lambda: {"target": "lerobot==0.6"},
    "plan": lambda: {"operations": [Drop(("model.state_proj.*",))]},
    "restore": lambda: {"backup": _changed_in_place("reflow")},
    "save_plan": lambda: {"made": api.sanitize("reflow")},
    "upload": lambda: {"repo": "tester/thing", "dry_run": True},
    "work_on_task": lambda: {"task": "none"},
    "write": lambda: {"made": api.sanitize("reflow")},
    "config.set_value": lambda: {"words": "n_action_steps", "value": 3},
    "config.unset_values": lambda: {"words": ["n_action_steps"]},
}
WITHOUT_PATHS = {"coverage", "examine_batch", "explain", "known_rules", "readable_by"}


def _changed_in_place(where: str) -> int:
    """Change a checkpoint in place and return the number of its backup."""
    api.write(api.sanitize(where), in_place=True)
    return 1


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with two checkpoints and a file of each kind that a verb reads."""
    monkeypatch.chdir(tmp_path)
    for name in ("normal", "reflow"):
        shutil.copytree(ROOT / "fixtures" / name, name)
    Path("ckpt.toml").write_text("", encoding="utf-8")
    api.manifest("normal", write="manifest.json")
    api.save_plan(api.sanitize("reflow"), "plan.json")
    write_spec(spec_of(api.read("normal")), "spec.json")
    Path("baseline.json").write_text(dump(document(api.verify("normal"))), encoding="utf-8")
    return tmp_path


def called(verb: str, kind: Kind) -> object:
    paths: Arguments = {name: kind(path) for name, path in PATHS[verb].items()}
    if "wheres" in paths:
        paths["wheres"] = [paths["wheres"]]
    elif "audit.db" in PATHS[verb].values() and not Path("audit.db").exists():
        api.audit(["normal"], out="audit.db", jobs=1)
    result = VERBS[verb](**paths, **OTHERS.get(verb, dict)())
    return vars(result) if verb == "audit_engine" else result  # an engine has no equality


def test_every_path_of_every_verb_is_tested() -> None:
    """A parameter is a path if its annotation is one; a new verb is a new line in PATHS."""
    found = {
        name: {
            parameter.name
            for parameter in inspect.signature(verb).parameters.values()
            if "AnyPath" in str(parameter.annotation)
        }
        for name, verb in VERBS.items()
    }
    assert {name for name, paths in found.items() if not paths} == WITHOUT_PATHS
    assert found == {name: set(PATHS.get(name, ())) for name in VERBS}


@pytest.mark.parametrize("verb", PATHS)
def test_a_verb_takes_path_objects(verb: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        hub_api,
        "repository",
        lambda _, **_given: Repository("tester/thing", "0" * 40, (RemoteFile("config.json", 1),)),
    )
    result = called(verb, Path)
    assert "PosixPath(" not in repr(result)
    for made in home.glob("new*"):
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    shutil.copytree(ROOT / "fixtures" / "normal", "normal", dirs_exist_ok=True)
    assert called(verb, str) == result


@pytest.mark.parametrize(
    ("field", "where"), [("batch", "normal/model.safetensors"), ("dataset", "data/cubes")]
)
@pytest.mark.usefixtures("home")
def test_observations_are_named_by_path_objects_too(
    field: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("data/cubes/meta").mkdir(parents=True)
    Path("data/cubes/meta/info.json").write_text("{}", encoding="utf-8")
    requests: list[str] = []

    def ask(_family: str, request: Mapping[str, object], *_: object) -> None:
        requests.append(json.dumps(request))
        msg = "no probe"
        raise ProbeMissing(msg)

    monkeypatch.setattr(_doctor_live, "_lacking", lambda *_: "")  # of what the Hub has
    monkeypatch.setattr(_doctor_live, "run_probe", ask)
    for kind in (Path, str):
        fields: Arguments = {field: kind(where)}
        api.diagnose("normal", "reflow", _doctor_live.ProbeOptions(**fields))
    assert json.loads(requests[0])[field] == where
    assert requests[0] == requests[1]
