"""The files of a round's packets, as they are given to raters."""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from empathy_core.annotation.asked import AskedDimension
from empathy_core.annotation.packets import Packet
from empathy_core.annotation.page import FirstPage, packet_page
from empathy_core.annotation.rounds import RoundDir
from empathy_core.annotation.sheets import sheets
from empathy_core.errors import Damaged
from empathy_core.store import write_bytes

PAGE = "packet.html"
_SECRET_BYTES = 32


def new_secret(folder: RoundDir) -> bytes:
    """Write a new secret, which its owner alone reads, and return it."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    write_bytes(secret, folder.secret, private=True)
    return secret


def read_secret(folder: RoundDir) -> bytes:
    """Return the secret of a round.

    Raises:
        Damaged: It is not there, not readable, or not whole.
    """
    try:
        secret = folder.secret.read_bytes()
    except OSError as error:
        msg = (
            f"{folder.secret} cannot be read ({error.strerror}): expected the key of this round's "
            "names, which only who exported it may read; have that person run this command"
        )
        raise Damaged(msg) from error
    if len(secret) != _SECRET_BYTES:
        msg = f"{folder.secret} has {len(secret)} bytes, expected 32: restore it from a copy"
        raise Damaged(msg)
    return secret


def write_packets(
    folder: RoundDir, made: Sequence[Packet], asked: list[AskedDimension], first: FirstPage
) -> list[Path]:
    """Write the files of packets that are not there yet, and return them."""
    written = []
    for packet in made:
        for path, text in _files(folder, packet, asked, first):
            if not path.exists():
                write_bytes(text.encode(), path)
                written.append(path)
    return written


def _files(
    folder: RoundDir, packet: Packet, asked: list[AskedDimension], first: FirstPage
) -> Iterator[tuple[Path, str]]:
    place = folder.packet(packet.rater)
    yield place / PAGE, packet_page(packet, asked, first)
    for name, text in sheets(packet, asked, first.helpline).items():
        yield place / name, text
