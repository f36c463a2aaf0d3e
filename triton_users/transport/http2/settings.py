"""The peer's SETTINGS (RFC 9113 section 6.5.2): values, defaults, permitted ranges; refuses to act on them.

HEADER_TABLE_SIZE is only checked here: the header encoder must see each of its values.
"""

from __future__ import annotations

from typing import Final

from triton_users.transport.http2.faults import ConnectionFault, ErrorCode
from triton_users.transport.http2.frames import MAX_WINDOW, Setting

#: Every permitted value, and the error for the others. A server must not enable push (section 6.5.2).
PERMITTED: Final = {
    Setting.ENABLE_PUSH: (range(1), ErrorCode.PROTOCOL_ERROR),
    Setting.INITIAL_WINDOW_SIZE: (range(MAX_WINDOW + 1), ErrorCode.FLOW_CONTROL_ERROR),
    Setting.MAX_FRAME_SIZE: (range(16_384, 2**24), ErrorCode.PROTOCOL_ERROR),
}


class PeerSettings:
    """What the peer allows us; before its first SETTINGS, the defaults of RFC 9113."""

    __slots__ = ("initial_window", "max_frame", "max_header_list", "max_streams")

    def __init__(self) -> None:
        self.initial_window = 65_535
        self.max_frame = 16_384
        #: Both are unlimited until the peer says otherwise.
        self.max_streams = 2**31
        self.max_header_list = 2**32

    def apply(self, key: int, value: int) -> None:
        """Take over one setting; unknown ones are ignored. ConnectionFault for a value out of its range."""
        permitted, code = PERMITTED.get(key, (None, ErrorCode.NO_ERROR))  # type: ignore[call-overload]  # IntEnum keys
        if permitted is not None and value not in permitted:
            raise ConnectionFault(code, f"the peer's SETTINGS say {Setting(key).name} = {value}")
        if key == Setting.INITIAL_WINDOW_SIZE:
            self.initial_window = value
        elif key == Setting.MAX_FRAME_SIZE:
            self.max_frame = value
        elif key == Setting.MAX_CONCURRENT_STREAMS:
            self.max_streams = value
        elif key == Setting.MAX_HEADER_LIST_SIZE:
            self.max_header_list = value
