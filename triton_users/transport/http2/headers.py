"""Header lists to and from HPACK blocks (RFC 7541, RFC 9113 section 8), with two caches; knows no frames, no streams.

The `hpack` library costs 50 to 100 us a call, more than all the rest of a request, so neither direction calls it for a
block seen before:

- A request's fixed fields (`RequestHeaders`) are indexed in the peer's table at their first use. Encoding them again
  gives the same bytes as long as our table does not change, so those bytes are kept until it does. Fields that vary by
  call are appended as literals without indexing, which leave the table alone.
- What a received block means and does to the table can be told from its bytes (`classify`). A block that refers only to
  the static table means the same for ever, and what it adds to the dynamic table can be added when somebody looks
  there: its list is remembered, its additions wait. A block that refers to the dynamic table and adds nothing means
  the same until something is added: its list is remembered until then. gRPC's servers send the second kind, nginx the
  first.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Final

from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hpack.hpack import decode_integer, encode_integer

from triton_users.transport.http2.faults import ConnectionFault, ErrorCode, StreamFault

Fields = tuple[tuple[bytes, bytes], ...]

#: The largest HPACK table we keep for requests, whatever the peer allows; ours hold a few dozen entries.
MAX_ENCODER_TABLE: Final = 4_096
#: Request heads whose block is remembered by one connection; Triton's service has 22 methods. A caller that makes a new
#: callable for each call would fill any number.
MAX_CACHED_REQUESTS: Final = 64
#: Decoded blocks remembered by one connection, and bytes of the longest. Servers alternate between about three.
MAX_CACHED_BLOCKS: Final = 32
MAX_CACHED_BLOCK: Final = 1_024
#: The longest integer that `hpack` accepts, in bytes.
VARINT_SIZE: Final = 6
#: RFC 7541 appendix A.
STATIC_ENTRIES: Final = 61
#: An entry counts 32 bytes at least (RFC 7541 section 4.1), and our table has the default 4,096.
MAX_DECODER_ENTRIES: Final = 128

#: Connection-specific fields, malformed in HTTP/2 (RFC 9113 section 8.2.2).
_FORBIDDEN: Final = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
#: Values that must not enter any intermediary's table (RFC 7541 section 7.1.3).
_SENSITIVE: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization"))
#: What no field may hold (RFC 9113 section 8.2.1), but for spaces around a value, which `grpc-message` may end with.
_BAD_NAME: Final = re.compile(rb"[\x00-\x20A-Z\x7f-\xff:]")
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]")
#: `content-length` in decimal (RFC 9110 section 8.6). Longer numbers than 18 digits announce more than anyone sends.
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
#: Responses that have no content whatever their `content-length` says (RFC 9110 section 6.4.1).
_WITHOUT_CONTENT: Final = (204, 304)


class RequestHeaders:
    """The fields that all calls of one method share; compared by identity, so that looking it up costs no hashing."""

    __slots__ = ("fields",)

    def __init__(self, fields: Fields) -> None:
        self.fields = fields


class HeaderList:
    """A received header list that passed RFC 9113's checks. The same object is returned for the same block again."""

    __slots__ = ("content_length", "fields", "meaning", "status")

    def __init__(self, fields: Fields, status: int | None, content_length: int | None = None) -> None:
        #: Names and values in order, without pseudo fields.
        self.fields = fields
        #: The HTTP status; None in trailers.
        self.status = status
        #: How many bytes of DATA payload the response announces; None, the usual case in gRPC, if it does not.
        self.content_length = content_length
        #: What the layer above made of it; kept here because it may come again.
        self.meaning: Any = None


def encode_literal(name: bytes, value: bytes) -> bytes:
    """A literal field without indexing, or never indexed for a sensitive name (RFC 7541 sections 6.2.2 and 6.2.3)."""
    kind = b"\x10" if name in _SENSITIVE else b"\x00"
    return b"".join((kind, bytes(encode_integer(len(name), 7)), name, bytes(encode_integer(len(value), 7)), value))


class HeaderEncoder:
    """Makes the blocks of requests. Every block it returns must be sent, in the order in which they were made."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._blocks: dict[RequestHeaders, bytes] = {}

    def resize(self, table_size: int) -> None:
        """The peer's HEADER_TABLE_SIZE; the next block announces the change.

        RFC 7541 section 4.2: of several changes, only the smallest and the last are announced. `hpack` would announce
        each, and forgets one that is made twice.
        """
        encoder = self._encoder
        size = min(table_size, MAX_ENCODER_TABLE)
        pending = encoder.table_size_changes
        if size == encoder.header_table_size and not pending:
            return
        smallest = min([size, *pending])
        encoder.header_table_size = size
        encoder.table_size_changes = [smallest, size] if smallest < size else [size]
        encoder.header_table.resized = True
        self._blocks.clear()

    def encode(self, headers: RequestHeaders) -> bytes:
        """The block of a request's fixed fields."""
        block = self._blocks.get(headers)
        if block is not None:
            return block
        table = self._encoder.header_table
        before = tuple(table.dynamic_entries), table.maxsize, bool(self._encoder.table_size_changes)
        block = self._encoder.encode(headers.fields, huffman=True)
        if before == (tuple(table.dynamic_entries), table.maxsize, False):
            if len(self._blocks) >= MAX_CACHED_REQUESTS:
                self._blocks.clear()
            self._blocks[headers] = block
        else:
            self._blocks.clear()
        return block


class HeaderDecoder:
    """Reads the blocks of responses; a block that cannot be read ends the connection."""

    def __init__(self, max_list_bytes: int) -> None:
        self._decoder = Decoder(max_list_bytes)
        #: Blocks that refer to the static table only: their meaning, and the entries they add.
        self._independent: dict[bytes, tuple[HeaderList | StreamFault, Fields]] = {}
        #: Blocks that refer to the dynamic table and add nothing; valid while that does not change.
        self._dependent: dict[bytes, HeaderList | StreamFault] = {}
        #: Entries to be added before the dynamic table is used next. Older ones than these cannot be in it any more.
        self._additions: deque[tuple[bytes, bytes]] = deque(maxlen=MAX_DECODER_ENTRIES)

    def decode(self, block: bytes) -> HeaderList:
        """The list of a block. ConnectionFault if it is no HPACK or too large, StreamFault if the list is malformed."""
        known = self._independent.get(block)
        if known is not None:
            found, additions = known
            if additions:
                self._additions.extend(additions)
                self._dependent.clear()
        else:
            found = self._dependent.get(block) or self._decode(block)
        if isinstance(found, StreamFault):
            raise StreamFault(found.code, str(found))  # a fresh one: each raising lengthens an exception's traceback
        return found

    def _decode(self, block: bytes) -> HeaderList | StreamFault:
        for name, value in self._additions:
            self._decoder.header_table.add(name, value)
        self._additions.clear()
        try:
            raw = self._decoder.decode(block, raw=True)
            fields = tuple((bytes(name), bytes(value)) for name, value in raw)
            dependent, resizes, adds = classify(block)
        except OversizedHeaderListError as exc:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"header list too large: {exc}") from exc
        except (HPACKError, IndexError, ValueError) as exc:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"undecodable header block: {exc!r}") from exc
        found: HeaderList | StreamFault
        try:
            found = _checked(fields)
        except StreamFault as exc:
            found = exc
        if adds or resizes:
            self._dependent.clear()
        if len(self._independent) + len(self._dependent) >= MAX_CACHED_BLOCKS:
            self._independent.clear()
            self._dependent.clear()
        if len(block) <= MAX_CACHED_BLOCK and not resizes:
            if not dependent:
                self._independent[block] = found, tuple(fields[index] for index in adds)
            elif not adds:
                self._dependent[block] = found
        return found


def classify(block: bytes) -> tuple[bool, bool, list[int]]:
    """What a valid block refers to and changes (RFC 7541 section 6), without reading its strings.

    Whether it refers to the dynamic table, whether it resizes it, and the positions of the fields that it adds to it.
    """
    dependent = resizes = False
    adds: list[int] = []
    position = count = 0
    while position < len(block):
        first = block[position]
        if first & 0x80:  # indexed field
            index, size = decode_integer(block[position : position + VARINT_SIZE], 7)
            dependent |= index > STATIC_ENTRIES
            position += size
            count += 1
            continue
        if first & 0xE0 == 0x20:  # size update
            resizes = True
            position += decode_integer(block[position : position + VARINT_SIZE], 5)[1]
            continue
        index, size = decode_integer(block[position : position + VARINT_SIZE], 6 if first & 0x40 else 4)
        dependent |= index > STATIC_ENTRIES
        position += size
        for _ in range(1 if index else 2):
            length, size = decode_integer(block[position : position + VARINT_SIZE], 7)
            position += size + length
        if first & 0x40:
            adds.append(count)
        count += 1
    return dependent, resizes, adds


def _checked(fields: Fields) -> HeaderList:
    """Apply RFC 9113 sections 8.1.1, 8.2 and 8.3.2 to a response's list or its trailers."""
    status: int | None = None
    content_length: int | None = None
    first_regular = 0
    for index, (name, value) in enumerate(fields):
        if name.startswith(b":"):
            if name != b":status" or status is not None or index != first_regular:
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"unexpected pseudo field {name!r}")
            if len(value) != 3 or not value.isdigit():
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, f":status is {value!r}, not three digits")
            status = int(value)
            first_regular = index + 1
        elif not name or _BAD_NAME.search(name) or name in _FORBIDDEN:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"forbidden field name {name!r}")
        elif _BAD_VALUE.search(value):
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"forbidden character in {name!r}: {value[:256]!r}")
        elif name == b"content-length":
            if not _LENGTH.fullmatch(value) or content_length not in (None, int(value)):
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"content-length is {value[:256]!r}, not one number")
            content_length = int(value)
    if status in _WITHOUT_CONTENT:
        content_length = None
    return HeaderList(fields[first_regular:], status, content_length)
