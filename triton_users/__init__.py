"""Load and soak tests for NVIDIA Triton Inference Server, as Locust users over gRPC.

Importing this package does nothing; `triton_users.plugin.install(environment)` wires everything once.
"""

__version__ = "0.1.0"
