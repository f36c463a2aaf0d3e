"""From a failure in a report to a bug report: plays that run again alone, shrinks it, writes it as a script.

`triton-users replay report.json --failure 3 --minimise --script bug.py`
"""
