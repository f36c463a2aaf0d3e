"""Collects bytes that arrive in pieces of any size; the cost of a piece is bounded however small it is.

A list of one-byte objects takes 40 times the memory of its bytes, and a peer chooses the sizes. So small pieces are
appended to a growing buffer, and large ones are kept as they are and joined once at the end.
"""

from __future__ import annotations

from typing import Final

Pieces = list["bytes | bytearray"]

#: Smaller pieces than this are merged; the list's and the object's overhead is then under 10 %.
SMALL: Final = 1_024


def append_piece(pieces: Pieces, piece: bytes | bytearray) -> None:
    """Add a piece at the end."""
    if pieces and len(piece) < SMALL:
        last = pieces[-1]
        if isinstance(last, bytearray):
            last += piece
            return
        if len(last) < SMALL:
            pieces[-1] = bytearray(last) + piece
            return
        piece = bytearray(piece)
    pieces.append(piece)


def join_pieces(pieces: Pieces) -> bytes:
    """All bytes, as one object."""
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return pieces[0]
    return b"".join(pieces)
