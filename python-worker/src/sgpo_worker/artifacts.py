"""The artifact store: immutable folders named by the sha256 of their manifest.

Free of torch. Layout and digest as in CONTRIBUTING.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MANIFEST = "manifest.json"


class ArtifactNotFound(Exception):
    """A digest that the store does not hold, or a text that is no digest."""


class ArtifactInvalid(Exception):
    """A folder that cannot become an artifact: a symbolic link, a special file, or a name that is not UTF-8."""


def open_artifact(store: Path, digest: str) -> Path:
    """The folder of a published artifact, to be read only. Raises `ArtifactNotFound`."""
    if not _DIGEST.fullmatch(digest):
        raise ArtifactNotFound(f"artifact digest {digest!r} is not 64 lower-case hex digits: give a published artifact's digest")
    folder = store / digest[:2] / digest
    if not (folder / _MANIFEST).is_file():
        raise ArtifactNotFound(f"artifact {digest} is not in the store: publish it again, or give the worker the right store")
    return folder


def publish(store: Path, write: Callable[[Path], None]) -> str:
    """Lets `write` fill an empty folder and publishes it, last and whole. Returns the digest.

    An equal artifact that is already there is kept and the new copy removed. Nothing is left behind when `write` raises.
    """
    temporary = store / "tmp" / secrets.token_hex(16)
    temporary.mkdir(parents=True)
    try:
        write(temporary)
        manifest = build_manifest(temporary)
        digest = hashlib.sha256(manifest).hexdigest()
        (temporary / _MANIFEST).write_bytes(manifest)
        sync_tree(temporary)
        _move_into_place(temporary, store / digest[:2] / digest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return digest


def build_manifest(folder: Path) -> bytes:
    """The bytes of `manifest.json` for the files below `folder`; a manifest that is already there is not listed."""
    files: list[dict[str, int | str]] = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ArtifactInvalid(f"file {name!r} is a link or a special file: an artifact holds plain files only")
        if path.is_file() and name != _MANIFEST:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            files.append({"bytes": path.stat().st_size, "path": name, "sha256": sha256})
    files.sort(key=lambda file: str(file["path"]))
    try:
        return json.dumps({"files": files}, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise ArtifactInvalid(f"a file name is not UTF-8 ({error.object!r}): rename the file") from error


def sync_tree(folder: Path) -> None:
    """Makes every file and folder below `folder`, and itself, survive a loss of power."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move_into_place(temporary: Path, final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary.rename(final)
    except OSError:
        # Renaming onto a folder that holds files fails: somebody published the same bytes first.
        if not (final / _MANIFEST).is_file():
            raise
        return
    _sync(final.parent)
