from __future__ import annotations

import json
from pathlib import Path

import pytest

from sgpo_worker.artifacts import ArtifactInvalid, ArtifactNotFound, build_manifest, open_artifact, publish

VECTORS = json.loads((Path(__file__).parents[3] / "test/contract/manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_manifest_and_digest_match_the_shared_vectors(vector: dict, tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        for name, content in vector["files"].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(bytes.fromhex(content))

    digest = publish(tmp_path, write)
    assert digest == vector["digest"]
    assert (open_artifact(tmp_path, digest) / "manifest.json").read_text(encoding="utf-8") == vector["manifest"]


def test_an_equal_artifact_is_kept_and_nothing_stays_in_tmp(tmp_path: Path) -> None:
    first = publish(tmp_path, lambda folder: (folder / "a").write_text("x") and None)
    inode = (open_artifact(tmp_path, first) / "a").stat().st_ino
    assert publish(tmp_path, lambda folder: (folder / "a").write_text("x") and None) == first
    assert (open_artifact(tmp_path, first) / "a").stat().st_ino == inode
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_failing_writer_publishes_nothing(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError):
        publish(tmp_path, write)
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("digest", ["", "../../etc", "A" * 64, "0" * 63, "0" * 64])
def test_an_unknown_or_malformed_digest_is_refused(digest: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFound):
        open_artifact(tmp_path, digest)


def test_links_cannot_be_published(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hosts")
    with pytest.raises(ArtifactInvalid, match="link"):
        build_manifest(tmp_path)
