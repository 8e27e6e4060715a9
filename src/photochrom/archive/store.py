"""Where photos lie and results go: a folder, a bucket, a zip file, whatever fsspec opens.

A file appears whole or not at all. Object storage does so by itself. Elsewhere, a file is written
under the name of a draft, which then takes the name of the file.

A call that fails is made again, six times within ten seconds or so. What will not get better, such
as a file that does not exist, is not tried again.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from photochrom.archive.address import redacted, secrets_of, without_secrets
from photochrom.errors import ConfigError, DependencyError, PhotoError
from photochrom.files import whole
from photochrom.photo.formats.table import format_of

__all__ = ["DRAFT", "Entry", "NoFolder", "Store", "StoreError"]

DRAFT = ".photochrom-draft-"
"""How the names of unfinished files begin, where a store does not hide them by itself."""
_WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "memory"}
"""Stores in which a file appears whole."""
_READ_ONLY = {"http", "https", "zip", "tar", "libarchive", "github", "reference"}
_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "az"),
    **dict.fromkeys(("ssh", "sftp"), "ssh"),
    **dict.fromkeys(("http", "https"), "http"),
}
_MARKS = ("ETag", "etag", "md5Hash", "CRC")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_TRIES = 6
_LASTING = (
    FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError,
    ImportError, NotImplementedError, TypeError, ValueError,
)  # fmt: skip

Value = TypeVar("Value")


class StoreError(PhotoError):
    """A store cannot be reached, or refuses."""


class NoFolder(StoreError):
    """There is no such folder or bucket."""


class Entry(NamedTuple):
    """A file in a store."""

    key: str
    """Its path from the root, with slashes."""
    size: int
    """In bytes; -1 if the store does not say."""
    mark: str
    """Another one if its content may be another one; "" if the store has none."""
    time: str
    """Of its last change, as the store tells it."""


class Store:
    """All files below an address.

    Parameters
    ----------
    address : such as s3://scans/1920s; or a folder of this machine

    Notes
    -----
    It can be sent to another process or machine, with its address: that has to be kept secret.
    """

    def __init__(self, address: str) -> None:
        if "::" not in address:
            address = address.removeprefix("file://")
        local = "://" not in address
        self._address = "file://" + os.path.abspath(address) if local else address
        self.name = os.path.abspath(address) if local else without_secrets(address).rstrip("/")
        self.secrets = secrets_of(self._address)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("_address", "name", "secrets")}

    def __repr__(self) -> str:
        return f"Store({self.name!r})"

    def below(self, key: str) -> Store:
        """A folder in this store as a store of its own."""
        store = Store.__new__(Store)
        store._address, store.secrets = self._address, self.secrets
        store.name = self.name_of(key)
        vars(store)["_opened"] = self.fs, self.path(key)
        return store

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """(file system, its path of the root)."""
        try:
            import fsspec
        except ImportError:
            raise DependencyError(
                f"{self.name}: addresses need fsspec", "run pip install 'photochrom[cluster]'"
            ) from None
        try:
            # Another run may have changed what a listing said a moment ago.
            fs, root = fsspec.core.url_to_fs(self._address, use_listings_cache=False)
        except ImportError as error:
            extra = _EXTRAS.get(self.scheme)
            remedy = f"run pip install 'photochrom[{extra}]'" if extra else "install that package"
            raise DependencyError(f"{self.name}: {error}", remedy) from None
        except ValueError as error:
            text = redacted(str(error), self.secrets)
            raise ConfigError(f"{self.name}: {text}", "see docs/scale.md for addresses") from None
        except Exception as error:
            raise self._error(error) from None
        return fs, str(root).rstrip("/")

    @property
    def fs(self) -> Any:
        """The file system."""
        return self._opened[0]

    @property
    def scheme(self) -> str:
        """The first part of the address."""
        return self._address.partition("://")[0].lower()

    @property
    def is_local(self) -> bool:
        """Whether it is a folder that this machine sees as such."""
        return self.scheme in ("file", "local")

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written there."""
        return self.scheme in _READ_ONLY

    def name_of(self, key: str) -> str:
        """The address of a file, without secrets."""
        if "::" in self.name:
            first, chain = self.name.split("::", 1)
            first = first if first.endswith("://") else first.rstrip("/") + "/"
            return f"{first}{key}::{chain}"
        return f"{self.name}/{key}" if key else self.name

    def path(self, key: str) -> str:
        """The path of a file for the file system."""
        root = self._opened[1]
        return f"{root}/{key}" if root and key else key or root

    # --- reading ---------------------------------------------------------------------------------

    def entry(self, key: str) -> Entry:
        """One file. Raises FileNotFoundError or StoreError."""
        info = self._call(self.fs.info, self.path(key))
        if info.get("type") == "directory":
            raise FileNotFoundError(self.name_of(key))
        return _entry(key, info)

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        try:
            self.entry(key)
        except FileNotFoundError:
            return False
        return True

    def is_folder(self) -> bool:
        """Whether the root of this store is a folder that has something in it."""
        try:
            return any(page for page in self.listing())
        except NoFolder:
            return False

    def read(self, key: str) -> bytes:
        """The content of a small file. Raises FileNotFoundError or StoreError."""
        content: bytes = self._call(self.fs.cat_file, self.path(key))
        return content

    def fetch(self, key: str, target: str) -> Entry:
        """Copy a file into a new one of this machine.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        StoreError
            The file changed meanwhile, or the store does not answer.
        """

        def copy() -> Entry:
            self.fs.get_file(self.path(key), target)
            found = _entry(key, self.fs.info(self.path(key)))
            if found.size not in (-1, os.path.getsize(target)):
                raise OSError(f"{os.path.getsize(target)} bytes came of {found.size}")
            return found

        return self._call(copy)

    def alone(self) -> Entry | None:
        """The file, if the address is that of a single one; its key is its name.

        Raises
        ------
        FileNotFoundError
            There is neither a file nor a folder of this name.
        """
        root = self._opened[1]
        if self.scheme in ("http", "https") and not format_of(root):
            return None  # each page is a file, too
        if not root or not self._call(self.fs.isfile, root):
            return None
        info = self._call(self.fs.info, root)
        folder, _, name = root.rpartition("/")
        self._address, self.name = _above(self._address), _above(self.name)
        vars(self)["_opened"] = self.fs, folder
        return _entry(name, info)

    def listing(self, enter: Callable[[str], bool] = lambda name: True) -> Iterator[list[Entry]]:
        """All files, some at a time; `enter` decides which folders are looked into.

        Raises
        ------
        StoreError
            The store does not answer, or there is no such folder.
        """
        root = self._opened[1]
        if self.scheme in ("s3", "s3a"):
            for page in self._pages(root):
                yield [one for one in page if all(map(enter, one.key.split("/")[:-1]))]
            return
        folders = [root]
        while folders:
            here = folders.pop()
            try:
                infos = self._call(self.fs.ls, here, detail=True)
            except FileNotFoundError:
                if here == root:
                    raise NoFolder("there is no such folder", name=self.name) from None
                continue  # it has gone meanwhile
            files = []
            for info in sorted(infos, key=lambda info: str(info["name"]), reverse=True):
                key = self._key(str(info["name"]), root)
                if key is None:
                    continue  # a link on a page that leads elsewhere
                if info.get("type") != "directory":
                    files.append(_entry(key, info))
                elif key and enter(key.rpartition("/")[2]) and not info.get("islink"):
                    folders.append(str(info["name"]).rstrip("/"))
            yield files[::-1]

    def _pages(self, root: str) -> Iterator[list[Entry]]:
        """The files of a bucket, a thousand at a time: no folder is ever held whole."""
        bucket, _, prefix = root.partition("/")
        prefix = prefix and prefix + "/"
        more: dict[str, str] = {}
        found = False
        while True:
            try:
                page = self._call(
                    self.fs.call_s3, "list_objects_v2", Bucket=bucket, Prefix=prefix, **more
                )
            except FileNotFoundError:
                raise NoFolder("there is no such bucket", name=self.name) from None
            entries = page.get("Contents", [])
            found = found or bool(entries)
            yield [
                _entry(one["Key"][len(prefix) :], {**one, "size": one["Size"]})
                for one in entries
                if not one["Key"].endswith("/")
            ]
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _key(self, name: str, root: str) -> str | None:
        """The path below the root; None if it lies elsewhere."""
        name = name.rstrip("/")
        bare = self.fs._strip_protocol(name) if "://" in name and "://" not in root else name
        if not str(bare).startswith(root and root + "/"):
            return None
        return str(bare)[len(root) :].lstrip("/")

    # --- writing ---------------------------------------------------------------------------------

    def put(self, source: str, key: str, run: int = 0) -> None:
        """Copy a file of this machine into the store, where it appears whole.

        Parameters
        ----------
        source : the file
        key : its path in the store; an existing file is replaced
        run : the number of the run, for the name of a draft
        """
        path = self.path(key)
        if self.is_local:
            import shutil

            self._call(os.makedirs, os.path.dirname(path), exist_ok=True)
            with whole(path, StoreError, force=True) as draft:
                shutil.copyfile(source, draft)
        elif self.scheme in _WHOLE:
            self._written(self.fs.put_file, source, path)
        else:
            self._by_draft(path, run, lambda draft: self.fs.put_file(source, draft))

    def write(self, key: str, content: bytes, run: int = 0) -> None:
        """Write a small file, which appears whole."""
        path = self.path(key)
        if self.is_local:
            self._call(os.makedirs, os.path.dirname(path), exist_ok=True)
            with whole(path, StoreError, force=True) as draft, open(draft, "xb") as file:
                file.write(content)
        elif self.scheme in _WHOLE:
            self._written(self.fs.pipe_file, path, content)
        else:
            self._by_draft(path, run, lambda draft: self.fs.pipe_file(draft, content))

    def _by_draft(self, path: str, run: int, write: Callable[[str], object]) -> None:
        folder, _, _ = path.rpartition("/")
        draft = f"{folder}/{DRAFT}{run:06}-{secrets.token_hex(8)}"
        self._call(self.fs.makedirs, folder, exist_ok=True)
        try:
            self._written(write, draft)
            self._call(self.fs.mv, draft, path)
        finally:
            with contextlib.suppress(Exception):
                if self.fs.exists(draft):
                    self.fs.rm_file(draft)

    def create(self, key: str, content: bytes) -> bool:
        """Write a small file unless it is there; whether it was not.

        Of several that try at the same time, one succeeds, where the store can tell: S3, Google's,
        Azure's, and folders.
        """
        path = self.path(key)
        try:
            self._written(self._create, path, content)
        except FileExistsError:
            # Ours, if only the answer to the first try was lost.
            with contextlib.suppress(FileNotFoundError):
                return self.read(key) == content
            return False
        return True

    def _create(self, path: str, content: bytes) -> None:
        if self.scheme in _WHOLE:
            self.fs.pipe_file(path, content, mode="create")
            return
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        with self.fs.open(path, "xb") as file:
            file.write(content)

    def remove(self, keys: Sequence[str]) -> None:
        """Remove files; those that have gone already are no matter."""
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                self._call(self.fs.rm_file, self.path(key))

    def _written(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function that writes, see `_call`."""
        try:
            self._call(function, *args)
        except FileNotFoundError:
            raise NoFolder(
                "there is no such bucket or folder", "create it first", name=self.name
            ) from None

    # --- patience --------------------------------------------------------------------------------

    def _call(self, function: Callable[..., Value], *args: Any, **options: Any) -> Value:
        """Call a function of the file system, again if it fails.

        Raises
        ------
        FileNotFoundError, FileExistsError
        StoreError
            It still fails, or cannot succeed.
        """
        for left in reversed(range(_TRIES)):
            try:
                return function(*args, **options)
            except (FileNotFoundError, FileExistsError):
                raise
            except StoreError:
                raise
            except Exception as error:
                if not left or isinstance(error, _LASTING) or _is_about_us(error):
                    raise self._error(error) from error
            time.sleep(0.1 * 2 ** (_TRIES - 1 - left) * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    def _error(self, error: Exception) -> StoreError:
        why = " ".join(str(error).split()) or type(error).__name__
        remedy = "try again"
        if isinstance(error, PermissionError) or _is_about_us(error):
            remedy = "check the credentials, and what they allow"
        found = StoreError(redacted(why, self.secrets), remedy, retry=True, name=self.name)
        if isinstance(error, OSError) and error.strerror:
            found.not_written = str(error.strerror)
        return found


def _above(address: str) -> str:
    """The address of the folder of a file."""
    first, chained, chain = address.partition("::")
    scheme, slashes, path = first.rpartition("://")
    return scheme + slashes + path.rpartition("/")[0] + chained + chain


def _is_about_us(error: Exception) -> bool:
    """Whether there are no credentials, or wrong ones."""
    return "Credential" in type(error).__name__


def _entry(key: str, info: dict[str, Any]) -> Entry:
    size = info.get("size")
    content = next((str(info[name]).strip('"') for name in _MARKS if info.get(name)), "")
    when = next((_time(info[name]) for name in _TIMES if info.get(name)), "")
    return Entry(key, -1 if size is None else int(size), content or when, when)


def _time(value: Any) -> str:
    """A time as seconds, however the store tells it: not all of its answers do so alike."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return str(value)
    if isinstance(value, datetime):
        value = value.timestamp()
    # A file system's time has nanoseconds, of which a float loses the last ones.
    return f"{value:.6f}" if isinstance(value, int | float) else str(value)
