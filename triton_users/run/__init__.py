"""One run: its configuration, coordinator, nodes, snapshots, preflight, self-check and checkpoints."""
