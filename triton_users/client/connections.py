"""The connections that the users of one process share. Knows channels, no Locust."""

from __future__ import annotations

import weakref

from triton_users.transport import CallObserver, ChannelOptions, Share, SharedChannel, TlsCredentials


class Connections:
    """Hands out shares, of few connections for many users; a connection ends with its last share."""

    def __init__(self) -> None:
        self._channels: dict[tuple[str, TlsCredentials | None, ChannelOptions], weakref.WeakSet[SharedChannel]] = {}

    def share(
        self, number: int, url: str, tls: TlsCredentials | None, options: ChannelOptions, observer: CallObserver
    ) -> Share:
        """A share of one of `number` connections to `url`: of a new one, or else of the one with the fewest shares.

        TargetError or ValueError as from `transport.Channel`.
        """
        channels = self._channels.setdefault((url, tls, options), weakref.WeakSet())
        used = [channel for channel in channels if channel.shares]
        if len(used) < number:
            channel = SharedChannel(url, tls=tls, options=options)
            channels.add(channel)
        else:
            channel = min(used, key=lambda each: len(each.shares))
        return channel.share(observer)
