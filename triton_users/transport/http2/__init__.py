"""The client side of HTTP/2 (RFC 9113) as a pure state machine: no sockets, no clock, no greenlets, no gRPC."""
