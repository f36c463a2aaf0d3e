"""A Triton on an address of its own, for hosts that are not this one.

python -m tests.cluster.serve ADDRESS [GRPC_PORT METRICS_PORT [MODEL…]]

prints "HOST:PORT" of its gRPC service; then, for each line it reads, the number of requests that traffic.py's model has
answered; ends with its standard input.
"""

import sys

from tests.cluster.cases import MODEL, completed
from triton_users.server import EmbeddedTriton


def main(address: str, grpc_port: str = "0", metrics_port: str = "0", *models: str) -> None:
    with EmbeddedTriton(
        models=[MODEL, *models],
        grpc_port=int(grpc_port),
        metrics_port=int(metrics_port),
        extra_args=["--grpc-address", address, "--metrics-address", address],
    ) as triton:
        print(f"{address}:{triton.grpc_url.rpartition(':')[2]}", flush=True)
        for _ in sys.stdin:
            print(completed(triton.http_url), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
