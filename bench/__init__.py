"""Measurements of this project beside its peers. See bench/README.md; `python -m bench --help` lists them."""

import os

# Before anything imports grpc: else grpcio 1.85 may abort in the processes that are started beside its channel.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
