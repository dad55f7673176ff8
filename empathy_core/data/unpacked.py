"""The bytes in a compressed file, and the name that they would have without it. Pure."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable


def _zstd(data: bytes) -> bytes:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        return bytes(stream.read())


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": _zstd,
}
ENDINGS = (*_DECOMPRESS, ".zip")
"""How the names of files end that are unpacked."""


def unpacked(name: str, data: bytes) -> tuple[str, bytes]:
    """Return the name and the bytes of what a file holds; those of itself if it is not packed.

    Args:
        name: Of the file, in small letters.
        data: Its bytes.

    Raises:
        ValueError: It cannot be unpacked, or is an archive of several files.
    """
    if name.endswith(".zip"):
        return _only_member(data)
    ending = next((ending for ending in _DECOMPRESS if name.endswith(ending)), "")
    if not ending:
        return name, data
    try:
        return name.removesuffix(ending), _DECOMPRESS[ending](data)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(str(error)) from error


def _only_member(data: bytes) -> tuple[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [
                name for name in archive.namelist()
                if not name.endswith("/") and not name.startswith("__MACOSX/")
            ]  # fmt: skip
            if len(members) != 1:
                msg = f"an archive of {len(members)} files, expected one"
                raise ValueError(msg)
            return members[0].lower(), archive.read(members[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error) as error:
        raise ValueError(str(error)) from error
