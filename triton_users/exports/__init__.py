"""A run's numbers where people look beside our report: Prometheus, OpenTelemetry, files. Not on a request's path."""
