"""Atomic writes: a destination holds the old file or the whole new one, never a part."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gesso.errors import InputError

__all__ = ["replacing"]

# These can only come from writing, whatever else the block does.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty temporary file that takes the place of ``path`` when the block ends.

    The temporary file lies in the same folder and has the same suffix, so that writers
    that choose the format by name work. It is synced to disk, then renamed over ``path``.
    Whatever leaves the block by an exception (Ctrl-C included) removes the temporary file
    and leaves ``path`` as it was.

    A symbolic link is followed: what it points to is replaced, the link stays. The
    permission bits of an existing file are kept; a new one gets those of ``open()``.

    Raises:
        InputError: before the block runs, if ``path`` is a folder or a device, or cannot
            be written; after it, if the disk was full.
    """
    target, mode = _destination(path)
    temporary = target.with_name(f".gesso-{secrets.token_hex(8)}{target.suffix}")
    try:
        # A private file stays private while it is written.
        creation = 0o666 if mode is None else mode & 0o666 | stat.S_IWUSR
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, creation))
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            yield temporary
            _sync(temporary)
        except OSError as error:
            if error.errno in _FULL:
                raise _unwritable(path, error) from error
            raise
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _sync(path: Path) -> None:
    """Flush ``path`` to disk; OSError if the disk was full, even if its writer missed that.

    Pillow's JPEG encoder ignores a short write and reports success. A file that was cut
    short by a full disk cannot take one byte more.
    """
    with path.open("r+b", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.write(b"\0")
        stream.truncate(size)
        os.fsync(stream.fileno())


def _destination(path: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """The file to replace, links followed, and its permission bits (None if it is new)."""
    try:
        target = Path(os.path.realpath(path))
        status = target.stat()
    except FileNotFoundError:
        return target, None
    except OSError as error:
        raise _unwritable(path, error) from error
    except ValueError as error:
        raise InputError(f"cannot write {os.fspath(path)!r}: {error}; mend the name") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"cannot write {path}: it is a folder; name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"cannot write {path}: it is not an ordinary file; name one")
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise InputError(f"cannot write {path}: it is read-only; make it writable or name another")
    return target, stat.S_IMODE(status.st_mode)


def _unwritable(path: str | os.PathLike[str], error: OSError) -> InputError:
    """The error that names ``path``, the reason and the mend."""
    if error.errno in _FULL:
        mend = "free some space or choose another place"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        mend = "create its folder first"
    else:
        mend = "make its folder writable or choose another place"
    return InputError(f"cannot write {os.fspath(path)}: {error.strerror}; {mend}")
