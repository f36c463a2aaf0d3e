"""How users get their connections: one each, or few for all of a process."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest
from locust.env import Environment

from triton_users.settings import UsageError
from triton_users.transport import ChannelOptions, Share
from triton_users.users import TritonGrpcUser

HOST = "grpc://127.0.0.1:1"


class Plain(TritonGrpcUser):
    host = HOST


class Routed(TritonGrpcUser):
    host = HOST
    channel_options = ChannelOptions(authority="own")


class Sharing(TritonGrpcUser):
    host = HOST
    connections = 1


def users(kind: type[TritonGrpcUser], number: int, **options: Any) -> list[TritonGrpcUser]:
    environment = Environment(user_classes=[kind], parsed_options=Namespace(**options))
    return [kind(environment) for _ in range(number)]


def connections_of(made: list[TritonGrpcUser]) -> list[Any]:
    """What each user's calls go over."""
    return [
        user.client.channel.whole if isinstance(user.client.channel, Share) else user.client.channel for user in made
    ]


def test_each_user_has_a_connection_of_its_own_by_default() -> None:
    assert len(set(connections_of(users(Plain, 3)))) == 3
    assert len(set(connections_of(users(Plain, 3, connections=0)))) == 3


def test_users_are_spread_over_as_many_connections_as_the_option_says() -> None:
    of = connections_of(users(Plain, 6, connections=2))
    assert sorted(of.count(each) for each in set(of)) == [3, 3]


def test_a_class_may_say_it_itself() -> None:
    assert len(set(connections_of(users(Sharing, 3)))) == 1
    assert len(set(connections_of(users(Sharing, 3, connections=3)))) == 1


def test_a_user_that_shares_can_still_open_a_connection_of_its_own() -> None:
    (user,) = users(Sharing, 1)
    with user.connect() as own:
        assert not isinstance(own.channel, Share)


def test_users_that_come_after_all_have_gone_share_a_new_connection() -> None:
    made = users(Sharing, 2)
    (before,) = set(connections_of(made))
    for user in made:
        user.client.close()
    late = Sharing(made[0].environment)
    assert connections_of([late]) != [before]


def test_requests_over_a_shared_connection_are_told_as_those_of_their_own_user() -> None:
    first, second = users(Sharing, 2)
    assert first.client.channel.observer is first.rpc_events
    assert second.client.channel.observer is second.rpc_events


@pytest.mark.parametrize("number", [-1, 100_001])
def test_a_number_that_cannot_be_is_refused(number: int) -> None:
    with pytest.raises(UsageError, match="number of shared connections"):
        users(Plain, 1, connections=number)


def test_the_authority_that_the_options_name_is_sent_unless_the_class_has_one_of_its_own() -> None:
    (plain,) = users(Plain, 1, grpc_authority="triton.example")
    (routed,) = users(Routed, 1, grpc_authority="triton.example")
    (unnamed,) = users(Plain, 1)
    sent = [user.client.channel.options.authority for user in (plain, routed, unnamed)]
    assert sent == ["triton.example", "own", None]
