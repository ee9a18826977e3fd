"""The face to object storage: named objects under one URL, through fsspec; s3:// by s3fs, others by their package.

Credentials and endpoints come from the environment, as each package reads them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL).
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec

from ashore.datasets.errors import InvalidRemote, RemoteFailed, closest

BLOCK_BYTES = 16 * 2**20
"""How much of an object is in memory at a time."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_OBJECT_STORES = ("s3", "s3a")
"""Here a put appears whole or not at all, folders do not exist, and a put may ask that nothing changed."""
_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "409", "412")
"""What an S3 service answers where the object is not the one that the writer had read."""
_OWN_PACKAGE = "pip install 'ashore[s3]' for s3, or the package that fsspec names for another scheme"
_ENVIRONMENT = (
    "leave them out of the URL, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; or what "
    "the package of another scheme reads"
)


class Bucket:
    """Objects under a URL; every method raises RemoteFailed where the storage refuses."""

    def __init__(self, filesystem: Any, root: str, url: str) -> None:
        self._fs = filesystem
        self._root = root.rstrip("/")
        self.url = url
        self._is_object_store = url.startswith(tuple(f"{scheme}://" for scheme in _OBJECT_STORES))

    def sizes(self) -> dict[str, int]:
        """List all objects: {name: bytes}."""
        with self._talking("list", ""):
            try:
                found = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
        start = len(self._root) + 1
        return {path[start:]: int(info["size"]) for path, info in found.items() if path.startswith(f"{self._root}/")}

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """Read a whole object in one request, so that it is of one moment; None where there is none.

        Args:
            name: of the object.
            most_bytes: how large it may be.
        """
        data = self._part(name, 0, most_bytes + 1)
        if data is not None and len(data) > most_bytes:
            raise RemoteFailed(self._where(name), "read", ValueError(f"it has more than {most_bytes} bytes"))
        return data

    def blocks(self, name: str, n_bytes: int) -> Iterator[bytes]:
        """Read the first n_bytes of an object, or what there is of them, block by block."""
        for start in range(0, n_bytes, BLOCK_BYTES):
            block = self._part(name, start, min(start + BLOCK_BYTES, n_bytes))
            if not block:
                return
            yield block

    def send(self, name: str, file: Path) -> None:
        """Write an object from a file."""
        with self._talking("write", name):
            self._make_folder(name)
            self._fs.put_file(str(file), self._path(name))

    def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        with self._talking("write", name):
            self._make_folder(name)
            self._fs.pipe_file(self._path(name), data)

    def tag(self, name: str) -> str | None:
        """Tell which version of an object this is, where the storage knows that and can ask for it; else None."""
        if not self._is_object_store:
            return None
        with self._talking("look at", name):
            try:
                return str(self._fs.info(self._path(name))["ETag"]) or None
            except FileNotFoundError:
                return None

    def replace(self, name: str, data: bytes, tag: str | None) -> None:
        """Write an object that may be there; whoever reads meanwhile sees the old or the new one, whole.

        An object store leaves it as it is where it is no longer the tagged one: read it again to know.

        Args:
            name: of the object.
            data: its content.
            tag: what `tag` gave when the present one was read.
        """
        with self._talking("replace", name):
            if self._is_object_store:
                self._replace_if(name, data, {"IfMatch": tag} if tag else {"IfNoneMatch": "*"})
                return
            aside = f"{name}.{uuid4().hex}.tmp"
            self._make_folder(name)
            self._fs.pipe_file(self._path(aside), data)
            self._fs.mv(self._path(aside), self._path(name))

    def remove(self, name: str) -> None:
        """Remove an object; that it is gone already is no fault."""
        with self._talking("remove", name), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def _replace_if(self, name: str, data: bytes, condition: dict[str, str]) -> None:
        try:  # In one piece: a condition on parts is none.
            self._fs.pipe_file(self._path(name), data, chunksize=len(data) + 1, **condition)
        except OSError as error:
            if error.errno == errno.ENOSYS:  # A service without conditional writes.
                self._fs.pipe_file(self._path(name), data)
            elif _code(error) not in _CHANGED:
                raise

    def _part(self, name: str, start: int, stop: int) -> bytes | None:
        """Read the bytes [start, stop) of an object, or what there is of them; None where there is no object."""
        with self._talking("read", name):
            try:
                return bytes(self._fs.cat_file(self._path(name), start=start, end=stop))
            except FileNotFoundError:
                return None
            except OSError as error:
                if _code(error) == "InvalidRange":  # It ends before start.
                    return b""
                raise

    def _where(self, name: str) -> str:
        return f"{self.url.rstrip('/')}/{name}"

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _make_folder(self, name: str) -> None:
        if not self._is_object_store:
            self._fs.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    @contextmanager
    def _talking(self, doing: str, name: str) -> Iterator[None]:
        """Turn what the storage says into a RemoteFailed; each package has error classes of its own, without a root."""
        try:
            yield
        except Exception as error:
            raise RemoteFailed(self._where(name), doing, error) from error


def open_bucket(url: str) -> Bucket:
    """Open the storage that a URL names; nothing is sent yet.

    Raises:
        InvalidRemote: it is no URL, has an unknown scheme, holds credentials, or its package is not installed.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or not _SCHEME.fullmatch(scheme):
        raise InvalidRemote("..." if ":" in url else url, "it has no scheme", "write it as s3://BUCKET/FOLDER")
    if _holds_credentials(scheme, rest):
        raise InvalidRemote(
            f"{scheme}://...", "it holds credentials, which logs and histories would keep", _ENVIRONMENT
        )
    if not rest.strip("/"):
        raise InvalidRemote(url, "it names no place", "write it as s3://BUCKET/FOLDER")
    if re.search(r"[?#*\[\]\s]|::", rest):
        raise InvalidRemote(f"{scheme}://...", "it holds one of ? # * [ ] :: or a space", "take a plain path")
    known = sorted(fsspec.available_protocols())
    if scheme not in known:
        way_out = f"take one of {', '.join(known)}.{closest(scheme, known)}"
        raise InvalidRemote(url, f"fsspec knows no scheme {scheme!r}", way_out.rstrip("."))
    try:
        filesystem, root = fsspec.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        raise InvalidRemote(url, f"a package for it is not installed ({error})", _OWN_PACKAGE) from error
    except (OSError, ValueError, TypeError) as error:
        raise InvalidRemote(url, f"fsspec cannot open it ({error})", "correct it") from error
    return Bucket(filesystem, root, url)


def _code(error: OSError) -> str:
    """Give the code that an S3 service answered with."""
    return str(getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", ""))


def _holds_credentials(scheme: str, rest: str) -> bool:
    """Whether a URL has a user with a password, however many slashes the password has; or a key as a parameter."""
    user, mark, _ = rest.rpartition("@")
    if re.search(r"[?&;].*=", rest):
        return True
    if scheme in _OBJECT_STORES:
        return bool(mark) or (":" in rest.partition("/")[0] and not rest.startswith("arn:"))
    return bool(mark) and ":" in user
