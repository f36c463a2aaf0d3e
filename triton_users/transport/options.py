"""The channel's settings and its statistics: plain frozen values; refuses to act on them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import grpc

from triton_users.transport.metadata import Metadata, encode_metadata

#: What tritonclient sets for both directions; the gRPC length prefix would allow twice that.
MAX_MESSAGE_BYTES = 2**31 - 1


@dataclass(frozen=True)
class ChannelOptions:
    """Settings of one channel. Sizes in bytes, times in seconds. ValueError for a value out of range."""

    max_send_message_bytes: int = MAX_MESSAGE_BYTES
    """A longer request is refused with RESOURCE_EXHAUSTED before a byte is sent."""
    max_receive_message_bytes: int = MAX_MESSAGE_BYTES
    """A longer response ends its call with RESOURCE_EXHAUSTED (also when only its decompressed form is longer)."""
    compression: grpc.Compression | None = None
    """How to compress requests where the call does not say; None and NoCompression send them as they are."""
    connect_timeout_s: float = 10.0
    """Limit for name look-up, TCP, TLS and the server's first SETTINGS together."""
    backoff_initial_s: float = 0.2
    """Pause after the first failed connection attempt; grows by 1.6 a time, with 20 % jitter. gRPC starts with 1 s; a
    load generator should notice sooner that its server is back."""
    backoff_max_s: float = 10.0
    """The longest pause between two connection attempts."""
    keepalive_time_s: float | None = None
    """Send a PING when nothing has been received for this long; None: never."""
    keepalive_timeout_s: float = 20.0
    """Without any byte for this long after such a PING, the connection counts as dead."""
    keepalive_without_calls: bool = False
    """Whether to send keep-alive PINGs while no call is open. gRPC servers answer too many with GOAWAY."""
    stream_window_bytes: int = 4 * 2**20
    """How far a server may run ahead of the reader of one call. 4 MiB is picked so that a picture-sized response needs
    no WINDOW_UPDATE; a single message may be larger than that."""
    max_frame_bytes: int = 2**20
    """The largest DATA frame the server may send (16,384 to 16,777,215). Larger frames cost less time per byte."""
    max_header_list_bytes: int = 64 * 2**10
    """The largest response header list accepted, decoded, counted as in RFC 9113 section 6.5.2."""
    drain_s: float = 0.0
    """How long a unary call that has been sent may still take to end when its greenlet is killed (GreenletExit), before
    it is cancelled. It is told of as whatever it ended with; its greenlet dies then. A streaming call whose reader is
    killed is not cancelled if this is positive: whoever has it may read on, and ends it by `cancel` or by dropping
    it."""
    authority: str | None = None
    """The `:authority` sent, by which a proxy may choose the server; None: the `server_name` of the TLS credentials,
    else the target's host and port."""
    user_agent: str = "triton-users-grpc"
    metadata: Metadata = field(default=(), repr=False)
    """Sent with every call, before the call's own: (key, value) pairs. Not in the repr, since they may be secrets."""

    def __post_init__(self) -> None:
        if self.authority is not None and not re.fullmatch(r"[\x21-\x7e]+", self.authority):
            raise ValueError(f"authority must be a host, or host:port, in printable ASCII, not {self.authority!r}")
        encode_metadata(self.metadata)
        for name in ("connect_timeout_s", "backoff_initial_s", "backoff_max_s", "keepalive_timeout_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)!r}")
        if not self.drain_s >= 0:
            raise ValueError(f"drain_s must be 0 or more, not {self.drain_s!r}")
        if self.keepalive_time_s is not None and not self.keepalive_time_s > 0:
            raise ValueError(f"keepalive_time_s must be positive or None, not {self.keepalive_time_s!r}")
        if not 65_535 <= self.stream_window_bytes <= 2**31 - 1:
            raise ValueError(f"stream_window_bytes must be 65,535 to 2**31 - 1, not {self.stream_window_bytes!r}")
        if not 16_384 <= self.max_frame_bytes <= 16_777_215:
            raise ValueError(f"max_frame_bytes must be 16,384 to 16,777,215, not {self.max_frame_bytes!r}")
        if self.max_header_list_bytes < 1_024:
            raise ValueError(f"max_header_list_bytes must be at least 1,024, not {self.max_header_list_bytes!r}")
        for name in ("max_send_message_bytes", "max_receive_message_bytes"):
            if not 0 < getattr(self, name) < 2**32:
                raise ValueError(f"{name} must be 1 to 2**32 - 1, not {getattr(self, name)!r}")


@dataclass(frozen=True)
class ChannelStats:
    """A snapshot of one channel, over all its connections so far."""

    connections: int
    """Connections that became ready; all but the first are reconnects."""
    open_streams: int
    """Calls on the wire now."""
    waiting_calls: int
    """Calls that wait for a connection or for a stream under the server's MAX_CONCURRENT_STREAMS now."""
    bytes_sent: int
    """Bytes handed to the kernel, HTTP/2 framing and TLS included."""
    bytes_received: int
    """Bytes read from the kernel, HTTP/2 framing and TLS included."""
    pings_sent: int
    """Keep-alive PINGs sent."""
    pings_answered: int
    """PINGs of the server that were answered."""
