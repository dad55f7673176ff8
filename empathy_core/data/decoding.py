"""The bytes of a text file into text: UTF-8, by a byte order mark, or as it is named. Pure.

Nothing is guessed. Where a text is in none of these, an encoding is proposed, with what some words
would be in it: only a reader can see whether they are right.
"""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from empathy_core.data.specs import TextLayout
from empathy_core.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark begins alike
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decoded(path: Path, data: bytes, layout: TextLayout, where: str) -> str:
    """Return a file's text: UTF-8, what a byte order mark says, or the layout's encoding.

    Bytes that are not UTF-8 survive as lone surrogates where ``utf-8`` is the layout's encoding,
    so that they can be counted row by row.

    Raises:
        DataError: The text is in another encoding.
    """
    said = layout.encoding
    codec = said or next((c for mark, c in _MARKS if data.startswith(mark)), "utf-8")
    tolerant = said is not None and codecs.lookup(said).name == "utf-8"
    _require_some_utf8(path, data, codec, where)
    try:
        text = data.decode(codec, errors="surrogateescape" if tolerant else "strict")
    except (UnicodeError, ValueError) as error:
        raise DataError(_undecoded(path, data, codec, error, where)) from error
    return text.removeprefix("\ufeff")


def _require_some_utf8(path: Path, data: bytes, codec: str, where: str) -> None:
    """Refuse UTF-16 without a byte order mark, which is UTF-8 with a NUL at every other place."""
    begin = data[:200]
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if codec == "utf-8" and len(begin) > 3 and not any(begin[first::2]):
            msg = (
                f"{path} seems to be UTF-16 without a byte order mark: expected UTF-8; set "
                f'{where}.encoding = "{name}"'
            )
            raise DataError(msg)


def _undecoded(path: Path, data: bytes, codec: str, error: Exception, where: str) -> str:
    place = getattr(error, "start", 0)
    line = data.count(b"\n", 0, place) + 1
    at = f"byte 0x{data[place]:02X} at offset {place:,}, line {line:,}" if data else "no byte"
    proposals = proposed(data)
    if codec != "utf-8":
        return (
            f"{path} is not {codec} ({at}): expected what its byte order mark or {where}.encoding "
            f"says. {_advice(proposals, where)}"
        )
    return (
        f"{path} is not UTF-8 ({at}): expected UTF-8, or UTF-16 with a byte order mark. Save it "
        f'so. {_advice(proposals, where)} "utf-8" takes the file as UTF-8 with damaged bytes, '
        "which are replaced and counted"
    )


# ---------------------------------------------------------------------------- proposals

_KNOWN = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258",
    "cp874", "koi8_r", "mac_roman", "gb18030", "big5", "cp932", "euc_jp", "cp949", "utf_8",
)  # fmt: skip
"""What is looked for: encodings that programs still write texts in."""
_LINES = 200
"""Lines with other than ASCII that an encoding is proposed by."""
SAMPLES = 3


@dataclass(frozen=True, slots=True)
class ProposedEncoding:
    """An encoding that a file can be in.

    Attributes:
        samples: Some words as it reads them, of up to ``SAMPLES`` lines.
    """

    encoding: str
    samples: Sequence[str]


def proposed(data: bytes) -> list[ProposedEncoding]:
    """Return the encodings that all bytes of a file can be in, the likeliest first.

    The order is charset-normalizer's, by what characters of languages are frequent; but where
    cp1252 is about as likely as the first, it is proposed: most files that are not UTF-8 are in
    it. Of encodings that read the file alike only one is there.
    """
    lines = list(islice((line for line in data.splitlines() if not line.isascii()), _LINES))
    found = _ranked(b"\n".join(lines))
    first = {_read(data, name): name for name in reversed(found)}
    ordered = dict.fromkeys(_read(data, name) for name in found)
    if (usual := _read(data, "cp1252")) in first:
        first[usual] = "cp1252"
    return [
        ProposedEncoding(
            first[text], list(islice(dict.fromkeys(_samples(lines, first[text])), SAMPLES))
        )
        for text in ordered
        if text
    ]


_NEAR_CHAOS, _NEAR_COHERENCE = 0.05, 0.03
"""By how much cp1252 may be worse than the likeliest encoding and still is proposed."""


def _ranked(text: bytes) -> list[str]:
    from charset_normalizer import from_bytes

    matches = list(from_bytes(text, cp_isolation=[*_KNOWN]))
    usual = next((match for match in matches if match.encoding == "cp1252"), None)
    if (
        usual is not None
        and usual.chaos <= matches[0].chaos + _NEAR_CHAOS
        and usual.coherence >= matches[0].coherence - _NEAR_COHERENCE
    ):
        matches.insert(0, usual)
    return list(dict.fromkeys(match.encoding for match in matches))


def _read(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _samples(lines: Sequence[bytes], encoding: str) -> Iterator[str]:
    """Yield the words around the first character beyond ASCII, of different lines."""
    for text in (line.decode(encoding, errors="ignore") for line in lines):
        place = next((i for i, c in enumerate(text) if not c.isascii()), 0)
        yield text[max(0, place - 12) : place + 13].strip()


def _advice(proposals: Sequence[ProposedEncoding], where: str) -> str:
    if not proposals:
        return "No encoding that is known here fits: look up what wrote the file, and set its name."
    best, *others = proposals
    samples = ", ".join(f"“{text}”" for text in best.samples)
    said = (
        f'It seems to be {best.encoding}: set {where}.encoding = "{best.encoding}" if these words '
        f"are right: {samples}."
    )
    if others:
        rest = ", ".join(f"{of.encoding} would read “{of.samples[0]}”" for of in others[:4])
        said += f" Else: {rest}."
    return said
