"""What Locust's logs show. Knows no message."""

from __future__ import annotations

import logging

ESCAPED = ("locust", "triton_users", "root")
"""Loggers whose records are escaped, with those below them; what a locustfile logs by itself stays as it is."""

_WRITTEN_OUT = {
    code: chr(code).encode("unicode_escape").decode()
    for code in (*range(32), *range(127, 160))
    if chr(code) not in "\n\t"
}


def escape_control_characters_that_locust_logs_raw() -> None:
    """Have control characters written out on the console, in the log file and in the web UI; call it in `init`.

    Locust logs the texts of errors as they are, and so do we: a server's message with an ESC in it would steer the
    terminal, one with a NUL make the log a binary file. Seen in 2.46 and 2.47. Can go when Locust's formatters escape.
    """
    for name in ("root", "locust", "locust.stats_logger"):
        for handler in logging.getLogger(None if name == "root" else name).handlers:
            if not any(isinstance(each, _Escape) for each in handler.filters):
                handler.addFilter(_Escape())


class _Escape(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.split(".")[0] in ESCAPED:
            record.msg, record.args = record.getMessage().translate(_WRITTEN_OUT), ()
            if record.exc_info and not record.exc_text:
                record.exc_text = logging.Formatter().formatException(record.exc_info).translate(_WRITTEN_OUT)
        return True
