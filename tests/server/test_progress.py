"""What a user sees of a long step, in a terminal and in a log."""

import io

from triton_users.server.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_one_line_that_updates():
    stream = Terminal()
    with ProgressLine(stream) as progress:
        progress("Downloading the server", 0.5)
        progress("Starting", None)
    assert stream.getvalue() == "\rDownloading the server:  50%\rStarting" + " " * 20 + "\n"


def test_a_log_gets_a_line_for_each_step_and_then_one_every_few_seconds():
    stream, now = io.StringIO(), 0.0
    progress = ProgressLine(stream, clock=lambda: now)
    for now in (0.0, 1.0, 4.9, 5.0, 6.0):
        progress("Downloading", now / 10)
    progress("Unpacking", 0.0)
    assert stream.getvalue().splitlines() == ["Downloading:   0%", "Downloading:  50%", "Unpacking:   0%"]


def test_a_log_shows_that_a_step_is_done():
    stream = io.StringIO()
    progress = ProgressLine(stream, clock=lambda: 0.0)
    progress("Downloading", 0.3)
    progress("Downloading", 1.0)
    assert stream.getvalue().splitlines() == ["Downloading:  30%", "Downloading: 100%"]
