"""A frame fuzzer for the HTTP/2 core: mutated and invented frames, cut anywhere. No crash, bounded output and memory.

CI runs it for a bounded number of cases. By hand, for hours: `python -m tests.transport.fuzz --minutes 60 [--seed N]`.
A case is its seed: `python -m tests.transport.fuzz --case N` runs one again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.transport.http2.harness import HEADERS, RESPONSE, TRAILERS, HandPeer
from triton_users.transport.errors import MessageFault
from triton_users.transport.http2 import frames
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.http2.frames import FrameType, Setting
from triton_users.transport.http2.stream import Stream, StreamState
from triton_users.transport.http2.streams import ConnectionState
from triton_users.transport.messages import MessageReader
from triton_users.transport.status import conclude

#: More output than this for one case is a flood that we answer.
MAX_OUTPUT = 1_000_000


def run_case(seed: int) -> None:
    """One peer, a few calls, and a random conversation; AssertionError or any exception is a finding."""
    generator = random.Random(seed)
    peer = HandPeer(greet=generator.random() < 0.95)
    opened: list[Stream] = []
    output = 0
    for _ in range(generator.randrange(1, 30)):
        if peer.ours.can_open and generator.random() < 0.5:
            opened.append(_open(peer, generator))
        if opened and generator.random() < 0.15:
            _act(peer, generator, generator.choice(opened))
        data = b"".join(_frame(peer, generator) for _ in range(generator.randrange(1, 6)))
        if generator.random() < 0.3:
            data = _mutated(generator, data)
        peer.now_s += generator.random() * 0.01
        while data:
            cut = generator.choice((1, 7, 100, len(data)))
            for stream in peer.give(data[:cut]):
                assert stream in opened
                _read(stream, generator)
            data = data[cut:]
        output += len(peer.ours.out)
        peer.ours.out.clear()
    assert output < MAX_OUTPUT
    peer.ours.lost(RuntimeError("the end"))
    assert not peer.ours.streams
    assert not peer.ours.streams._blocked
    assert peer.ours.state is ConnectionState.CLOSED
    for stream in opened:
        assert stream.state is StreamState.CLOSED
        conclude(stream)


def _open(peer: HandPeer, generator: random.Random) -> Stream:
    if generator.random() < 0.5:
        made = peer.ours.request(HEADERS, b"", b"", bytes(generator.randrange(1_000)))
        if made is not None:
            return made[0]
    return peer.ours.open(HEADERS, b"")[0]


def _act(peer: HandPeer, generator: random.Random, stream: Stream) -> None:
    """What a caller may do to a stream at any time."""
    choice = generator.randrange(4)
    if choice == 0:
        peer.ours.reset(stream, ErrorCode.CANCEL)
    elif choice == 1 and stream.state is StreamState.OPEN:
        peer.ours.take_data(stream, memoryview(bytes(generator.randrange(1, 200_000))), generator.random() < 0.3)
    elif choice == 2 and stream.state is StreamState.OPEN:
        peer.ours.finish(stream)
    else:
        stream.listener_consumes = True


def _read(stream: Stream, generator: random.Random) -> None:
    """What an listener does with news."""
    reader = MessageReader(100_000)
    if generator.random() < 0.3:
        inbox, stream.inbox = stream.inbox, []
        try:
            for piece in inbox:
                reader.feed(piece)
        except MessageFault:
            return


def _frame(peer: HandPeer, generator: random.Random) -> bytes:
    stream_id = generator.choice((0, 1, 1, 1, 2, 3, 3, 5, 7, 9, 2**31 - 1))
    choice = generator.randrange(14)
    if choice == 0:
        length = [(b"content-length", b"%d" % generator.choice((0, 1, 50, 5_000)))] * (generator.random() < 0.3)
        return peer.headers(stream_id, RESPONSE + length, generator.random() < 0.2) if stream_id else b""
    if choice == 1:
        return peer.headers(stream_id, TRAILERS, generator.random() < 0.8) if stream_id else b""
    if choice in (2, 3):
        return peer.data(stream_id, generator.randbytes(generator.choice((0, 1, 50, 5_000))), generator.random() < 0.2)
    if choice == 4:
        return frames.encode_settings({generator.choice(list(Setting)): _number(generator)})
    if choice == 5:
        return frames.encode_window_update(stream_id, generator.choice((0, 1, 1_000, 2**31 - 1)))
    if choice == 6:
        return frames.encode_rst_stream(stream_id, generator.randrange(16))
    if choice == 7:
        return frames.encode_goaway(generator.choice((0, 1, 3, 2**31 - 1)), generator.randrange(16), b"debug")
    if choice == 8:
        return frames.encode_ping(generator.randbytes(8), ack=generator.random() < 0.5)
    if choice == 9:
        return peer.answer(stream_id, b"\0\0\0\0\1x") if stream_id else b""
    if choice == 10:
        block = generator.randbytes(generator.randrange(20))
        return frames.encode_frame(generator.choice((1, 9)), generator.randrange(256), stream_id, block)
    if choice == 11:
        block = bytes(
            generator.choice((0x88, 0x88, 0xBE, 0x20, 0x3F, 0x40, 0x00)) for _ in range(generator.randrange(6))
        )
        return frames.encode_frame(FrameType.HEADERS, generator.choice((4, 5, 0)), stream_id, block)
    payload = generator.randbytes(generator.choice((0, 4, 5, 6, 8, 100)))
    return frames.encode_frame(generator.randrange(14), generator.randrange(256), stream_id, payload)


def _number(generator: random.Random) -> int:
    return generator.choice((0, 1, 100, 16_384, 65_535, 2**24 - 1, 2**31 - 1, 2**32 - 1))


def _mutated(generator: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.randrange(1, 4)):
        if changed:
            position = generator.randrange(len(changed))
            action = generator.randrange(3)
            if action == 0:
                changed[position] = generator.randrange(256)
            elif action == 1:
                del changed[position : position + generator.randrange(1, 9)]
            else:
                changed[position:position] = generator.randbytes(generator.randrange(1, 9))
    return bytes(changed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    parser.add_argument("--case", type=int)
    arguments = parser.parse_args()
    if arguments.case is not None:
        run_case(arguments.case)
        return 0
    ends_s = time.monotonic() + arguments.minutes * 60
    case = arguments.seed
    while time.monotonic() < ends_s:
        try:
            run_case(case)
        except Exception:
            print(f"case {case} fails; run it again with --case {case}", file=sys.stderr)
            raise
        case += 1
    print(f"{case - arguments.seed} cases, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
