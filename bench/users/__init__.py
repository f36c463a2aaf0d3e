"""Locustfiles of the measurements; each reads its case from BENCH_CASE."""
