"""The server's ports: those asked for or free ones, and never two services on one."""

import socket

import pytest

from triton_users.server import EmbeddedTriton, ServerError
from triton_users.server.ports import Ports, check, choose


def test_without_a_wish_three_different_free_ports_are_chosen():
    chosen = choose(Ports())
    assert len(set(chosen)) == 3
    for port in chosen:
        socket.create_server(("127.0.0.1", port)).close()


def test_a_port_that_was_asked_for_is_kept_and_the_others_are_not_the_same():
    for _ in range(20):
        (wanted,) = {choose(Ports()).metrics}
        chosen = choose(Ports(metrics=wanted))
        assert chosen.metrics == wanted
        assert len(set(chosen)) == 3


def test_a_port_that_another_server_has_is_named_with_the_service_it_was_for():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=rf"Port {port} .* cannot be the http port: Address already in use"):
            choose(Ports(http=port))


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_refused_when_the_server_is_made(port: int):
    with pytest.raises(ServerError, match=rf"grpc port is {port}; it must be 1 to 65535"):
        EmbeddedTriton(grpc_port=port)


def test_one_port_for_two_services_is_refused():
    with pytest.raises(ServerError, match="8000 for gRPC, 8000 for HTTP"):
        check(Ports(grpc=8000, http=8000))
