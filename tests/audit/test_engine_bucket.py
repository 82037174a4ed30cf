"""A bucket as the folder that the workers of an audit share, and one that refuses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import s3fs

from ckpt_tools import api
from ckpt_tools.audit.engines.folder import WorkFolder
from ckpt_tools.audit.engines.tasks import TaskEngine
from ckpt_tools.errors import CkptError
from tests.support.fleet import ProcessLauncher, assert_same, make_tree
from tests.support.s3_server import s3_server

if TYPE_CHECKING:
    from pathlib import Path


def test_workers_that_share_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = make_tree(tmp_path / "tree", 1)
    api.audit([tree], out=tmp_path / "local.db", jobs=1)
    monkeypatch.setattr("ckpt_tools.audit.run.BATCH", 3)
    with s3_server() as environment:
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        s3fs.S3FileSystem.clear_instance_cache()
        system = s3fs.S3FileSystem(use_listings_cache=False)
        system.mkdir("lab")
        folder = WorkFolder("s3://lab/audit/work")
        engine = TaskEngine(folder, ProcessLauncher(folder), tasks=2, batches=2)
        api.audit([tree], out=tmp_path / "bucket.db", engine=engine)
        assert_same(tmp_path / "bucket.db", tmp_path / "local.db")
        assert system.find("lab") == []
        with pytest.raises(
            CkptError, match=r"s3://gone/work/batches/a: cannot be written: .*folder="
        ):
            WorkFolder("s3://gone/work").write("batches", "a", "b")
        s3fs.S3FileSystem.clear_instance_cache()
