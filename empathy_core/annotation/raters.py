"""Which person that a file names is which rater. Names are never kept, only keyed digests."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from empathy_core.annotation.points import plain
from empathy_core.annotation.readers.entries import RatingFile
from empathy_core.annotation.round_items import AskedRound
from empathy_core.errors import DataError


@dataclass(frozen=True, slots=True)
class RaterNames:
    """Whose entries a file holds.

    Attributes:
        of: Name in the file → pseudonym.
        learnt: Keyed digest of a name → pseudonym: what to remember of this file.
    """

    of: Mapping[str, str]
    learnt: Mapping[str, str]


def name_digest(name: str, secret: bytes) -> str:
    """Return the keyed digest of a person's name: HMAC-SHA256, 32 hexadecimal digits of it."""
    text = plain(name).casefold().encode()
    return hmac.new(secret, b"rater\0" + text, hashlib.sha256).hexdigest()[:32]


def rater_names(
    read: RatingFile,
    asked: AskedRound,
    declared: Mapping[str, str],
    known: Mapping[str, str],
    secret: bytes,
) -> RaterNames:
    """Return who is who in a file.

    A name is a pseudonym itself, or declared, or known from an earlier file; or it is the only
    one whose items all belong to one packet, and then it is that packet's rater.

    Args:
        read: The file.
        asked: The round.
        declared: Name → pseudonym, from the command line.
        known: Keyed digest → pseudonym, from earlier files.
        secret: Of the round.

    Raises:
        DataError: It is not known who somebody is.
    """
    given = {plain(name).casefold(): rater for name, rater in declared.items()}
    found: dict[str, str] = {}
    open_names: dict[str, set[str]] = {}
    for entry in read.entries:
        name = entry.rater
        if not name or name in found:
            continue
        if name not in open_names:
            rater = _rater(name, asked, given, known.get(name_digest(name, secret)))
            if rater:
                found[name] = rater
                continue
        if item := asked.item(entry.item):
            open_names.setdefault(name, set()).add(item.rater)
        else:
            open_names.setdefault(name, set())
    found |= _inferred(open_names, taken=set(found.values()), asked=asked)
    learnt = {
        name_digest(name, secret): rater for name, rater in found.items()
        if plain(name).upper() not in asked.raters
    }  # fmt: skip
    return RaterNames(found, learnt)


def _rater(name: str, asked: AskedRound, given: Mapping[str, str], known: str | None) -> str | None:
    """Return whom a name is known to mean; null if it is not known."""
    text = plain(name)
    return given.get(text.casefold()) or (text.upper() if text.upper() in asked.raters else known)


def _inferred(names: Mapping[str, set[str]], taken: set[str], asked: AskedRound) -> dict[str, str]:
    """Return the raters of names of which each rated one packet, and nobody else that packet.

    Raises:
        DataError: That leaves it open who somebody is.
    """
    owners = [rater for raters in names.values() for rater in raters]
    unclear = [
        name for name, raters in names.items()
        if len(raters) != 1 or owners.count(next(iter(raters))) > 1 or raters & taken
    ]  # fmt: skip
    if unclear:
        raise DataError(_who(unclear, asked.raters))
    return {name: next(iter(raters)) for name, raters in names.items()}


def _who(names: Sequence[str], raters: Sequence[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in names[:5])
    example = " ".join(
        f"--rater {name}={rater}" for name, rater in zip(names[:2], raters, strict=False)
    )
    return (
        f"it is not known which raters {listed} are: they did not each answer the items of one "
        f"packet; expected to know who is who of {', '.join(raters)}; say so, e.g. {example} "
        "(only a keyed digest of the name is kept)"
    )
