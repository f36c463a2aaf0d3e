"""A switch and its cables, in user space: joins TAP devices, and cuts, delays or loses what passes. Linux, root.

    python wire.py DEVICE...      makes the devices and prints "ready"; reads orders from standard input, one a line:

    cut DEVICE | join DEVICE      its cable is pulled out, or put in again
    latency MS                    each frame takes so long to pass (so a round trip takes twice that)
    loss RATIO                    this part of the frames is lost

It ends, and its devices vanish, when standard input closes. The kernel's own `tc netem` would do for latency and loss,
but many kernels in containers and CI machines lack it.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

# From <linux/if_tun.h>.
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000

FRAME = 65_535
SEED = 20_240_229
"""The same frames are lost in each run, as far as they come in the same order."""


def tap(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


class Switch:
    """Sends each frame to the port of its receiver, once that is known, else to all others."""

    def __init__(self, names: list[str]) -> None:
        self.ports = {name: tap(name) for name in names}
        self.cut: set[int] = set()
        self.latency_s = self.loss = 0.0
        self._homes: dict[bytes, int] = {}
        self._passing: list[tuple[float, int, int, bytes]] = []
        self._number = 0
        self._draw = random.Random(SEED)

    def obey(self, order: str, argument: str) -> None:
        if order == "latency":
            self.latency_s = float(argument) / 1e3
        elif order == "loss":
            self.loss = float(argument)
        elif order == "cut":
            self.cut.add(self.ports[argument])
        else:
            self.cut.discard(self.ports[argument])

    def run(self) -> None:
        while True:
            wait_s = max(0.0, self._passing[0][0] - time.monotonic()) if self._passing else None
            ready, _, _ = select.select([0, *self.ports.values()], [], [], wait_s)
            for descriptor in ready:
                if descriptor:
                    self._receive(descriptor)
                elif line := sys.stdin.readline():
                    self.obey(*line.split())
                    print("done", flush=True)
                else:
                    return
            while self._passing and self._passing[0][0] <= time.monotonic():
                _, _, port, frame = heapq.heappop(self._passing)
                self._send(port, frame)

    def _receive(self, port: int) -> None:
        try:
            frame = os.read(port, FRAME)
        except OSError:
            return  # its host's device is not up yet
        if port in self.cut or self._draw.random() < self.loss:
            return
        self._homes[frame[6:12]] = port
        home = self._homes.get(frame[:6])
        for other in self.ports.values() if home is None else (home,):
            if other == port:
                continue
            if self.latency_s:
                self._number += 1  # frames with the same time keep their order
                heapq.heappush(self._passing, (time.monotonic() + self.latency_s, self._number, other, frame))
            else:
                self._send(other, frame)

    def _send(self, port: int, frame: bytes) -> None:
        if port not in self.cut:
            try:
                os.write(port, frame)
            except OSError:
                pass  # its host's device is down, or its queue is full: lost, as on a real cable


if __name__ == "__main__":
    switch = Switch(sys.argv[1:])
    print("ready", flush=True)
    switch.run()
