"""tritonclient on our channel: the client, tensors sent without a copy, and what becomes of each RPC."""
