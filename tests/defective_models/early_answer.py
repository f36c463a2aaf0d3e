"""A gRPC server that deals wrongly with a 1 GiB ModelInfer, for tests of the Timeout scenario.

    python early_answer.py {answer,refuse,hang}     prints its port, then serves until standard input closes

`answer` sends a well-formed response as soon as more than SMALL bytes of the request are there; `refuse` sends the
status RESOURCE_EXHAUSTED then; `hang` reads on and answers nothing at all, liveness included, once a request was
abandoned. Smaller requests and everything else a client asks before a run (liveness, readiness, metadata, the list of
models) are answered like a healthy Triton with the one model `custom_nobatch_zero_1_float32`, an identity.
"""

from __future__ import annotations

import socket
import sys
import threading
from typing import Any

import h2.config
import h2.connection
import h2.events
from tritonclient.grpc import service_pb2 as pb

MODEL = "custom_nobatch_zero_1_float32"
SERVICE = "/inference.GRPCInferenceService/"
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
SMALL = 64 * 1024
"""Bytes of a request that is dealt with rightly."""


def answers() -> dict[str, Any]:
    """The answer to each method but ModelInfer."""
    index = pb.RepositoryIndexResponse()
    index.models.add(name=MODEL, version="1", state="READY")
    return {
        "ServerLive": pb.ServerLiveResponse(live=True),
        "ServerReady": pb.ServerReadyResponse(ready=True),
        "ModelReady": pb.ModelReadyResponse(ready=True),
        "ServerMetadata": pb.ServerMetadataResponse(name="early_answer", version="0"),
        "RepositoryIndex": index,
    }


def identity(body: bytes) -> pb.ModelInferResponse:
    """The right answer to a request, without its gRPC prefix of 5 bytes."""
    request = pb.ModelInferRequest.FromString(body[5:])
    response = pb.ModelInferResponse(model_name=MODEL, model_version="1", id=request.id)
    response.outputs.add(name="OUTPUT0", datatype="FP32", shape=request.inputs[0].shape)
    response.raw_output_contents.extend(request.raw_input_contents)
    return response


class Connection:
    """One client's connection; `serve` returns when the client closes it."""

    def __init__(self, peer: socket.socket, mode: str) -> None:
        self._peer = peer
        self._mode = mode
        self._hanging = False
        self._methods: dict[int, str] = {}
        self._bodies: dict[int, bytes] = {}
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._http.initiate_connection()

    def serve(self) -> None:
        self._flush()
        while data := self._peer.recv(1 << 20):
            for event in self._http.receive_data(data):
                self._handle(event)
            self._flush()

    def _handle(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            path = dict(event.headers)[b":path"].decode()
            self._methods[event.stream_id] = path.removeprefix(SERVICE)
        elif isinstance(event, h2.events.DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if self._methods.get(event.stream_id) == "ModelInfer":
                body = self._bodies.get(event.stream_id, b"")
                if len(body) <= SMALL:
                    self._bodies[event.stream_id] = body = body + event.data
                if len(body) > SMALL:
                    self._deal_with_large(event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            method = self._methods.pop(event.stream_id, "")
            body = self._bodies.pop(event.stream_id, b"")
            if method and not self._hanging:
                self._reply(event.stream_id, identity(body) if method == "ModelInfer" else answers().get(method))
        elif isinstance(event, h2.events.StreamReset):
            self._methods.pop(event.stream_id, None)
            self._hanging = self._mode == "hang"

    def _deal_with_large(self, stream: int) -> None:
        """Called when more than SMALL bytes of a request are there."""
        if self._mode == "hang":
            return
        del self._methods[stream]
        if self._mode == "answer":
            response = pb.ModelInferResponse(model_name=MODEL, model_version="1")
            response.outputs.add(name="OUTPUT0", datatype="FP32", shape=[1])
            response.raw_output_contents.append(b"\0\0\0\0")
            self._reply(stream, response)
        else:
            self._fail(stream, RESOURCE_EXHAUSTED, "too large")

    def _reply(self, stream: int, message: Any) -> None:
        if message is None:
            self._fail(stream, UNIMPLEMENTED, "not served here")
            return
        body = message.SerializeToString()
        self._http.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        self._http.send_data(stream, b"\0" + len(body).to_bytes(4, "big") + body)
        self._http.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    def _fail(self, stream: int, status: int, message: str) -> None:
        headers = [(":status", "200"), ("content-type", "application/grpc")]
        headers += [("grpc-status", str(status)), ("grpc-message", message)]
        self._http.send_headers(stream, headers, end_stream=True)

    def _flush(self) -> None:
        self._peer.sendall(self._http.data_to_send())


def handle(peer: socket.socket, mode: str) -> None:
    try:
        with peer:
            Connection(peer, mode).serve()
    except OSError:
        pass  # the client has gone, which is what this server is for


def accept(listener: socket.socket, mode: str) -> None:
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=handle, args=(peer, mode), daemon=True).start()


def main(mode: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(listener, mode), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
