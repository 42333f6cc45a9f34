"""Files read without waiting for them, and written whole or not at all."""

import errno
import os
import secrets
import stat
from pathlib import Path


def read_regular(path: Path, limit: int = -1) -> bytes:
    """Return what a file holds; what is none, as a pipe that nobody writes to, is never waited for.

    Args:
        path: The file, or a link to one.
        limit: So many bytes at most; all where it is negative.

    Raises:
        OSError: It cannot be read, or is no file: a directory, a pipe, a socket or a device.
        ValueError: The path has a null byte.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "it is a socket or a device, and no file", str(path)) from error
        raise
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            what = "a pipe" if stat.S_ISFIFO(mode) else "a device"
            raise OSError(errno.EINVAL, f"it is {what}, and no file", str(path))
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put bytes in the place of a file, at once and whole: who reads it sees what was there before, or all of this.

    Args:
        path: The file; a link is replaced by it.
        data: All that it holds from then on.
        mode: Its rights; those that it has where None, and of a new file those that the process gives.

    Raises:
        OSError: It cannot be written; then it is as it was, and nothing else is left behind.
    """
    if mode is None and path.is_file():
        mode = path.stat().st_mode & 0o7777
    new = path.with_name(f".writing-{secrets.token_hex(8)}")
    # Nobody else reads it before it has its rights.
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(new, mode)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
