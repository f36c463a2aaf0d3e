"""The real Triton as a counting server: the embedded one, or one that runs already. Knows nothing of the clients."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from bench import compare
from bench.procs import BenchError, on_cores
from triton_users.server import EmbeddedTriton, ProgressLine, ServerError

#: Identity without a delay, any length, no batching.
IDENTITY = "custom_nobatch_zero_1_float32"
#: Accumulator with two instances of two slots each.
SEQUENCE = "custom_sequence_int32"
#: Decoupled: answers as often as its input says. In a folder of its own.
REPEAT = "repeat"
REPEAT_FOLDER = Path(__file__).parent / "models"


class Triton:
    """A running server, and the count of one of its models.

    It counts over grpcio: not with the channel that is being measured.
    """

    def __init__(self, address: str, pid: int | None, model: str) -> None:
        self.address = address
        self.pid = pid
        self._model = model
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(address))

    def completed(self) -> int:
        """Requests the model answered well, by the server's own statistics."""
        return int(self._statistics().success.count)

    def failed(self) -> int:
        """Requests the model answered with an error. START errors of sequences are in no counter of Triton's."""
        return int(self._statistics().fail.count)

    def _statistics(self) -> service_pb2.InferStatistics:
        request = service_pb2.ModelStatisticsRequest(name=self._model)
        try:
            answer = self._stub.ModelStatistics(request, timeout=10)
        except grpc.RpcError as exc:
            raise BenchError(f"no statistics of {self._model} from {self.address}: {exc.details()}") from exc
        return answer.model_stats[0].inference_stats


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", metavar="grpc://HOST:PORT", help="a Triton that runs already (default: the embedded one)"
    )


@contextmanager
def triton(
    options: argparse.Namespace, models: list[str], repository: Path | None = None
) -> Iterator[tuple[str, int | None]]:
    """Address and process id of the server; the process id of a server that ran already is not known.

    `repository`: a folder of models (default: the package's own), for the embedded server.

    Raises BenchError when the embedded server cannot be installed or does not start.
    """
    if options.host:
        yield options.host.removeprefix("grpc://"), None
        return
    with ProgressLine() as progress:
        server = EmbeddedTriton(repository, models=models, progress=progress, yielding=False)
        try:
            with on_cores(compare.pins(options).server):
                server.start()
            progress.close()
            yield server.grpc_url, server.pid
        except ServerError as exc:
            raise BenchError(str(exc)) from exc
        finally:
            server.stop()
