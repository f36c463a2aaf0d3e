"""A run's numbers where people look beside our own report: Prometheus. Nothing here is on the path of a request."""
