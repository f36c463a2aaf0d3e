"""What a server says does not steer the terminal."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

LOGGING = """
import logging
from locust.log import get_logs, setup_logging
from triton_users.locust_compat.logs import escape_control_characters_that_locust_logs_raw

setup_logging("INFO")
for _ in range(2):
    escape_control_characters_that_locust_logs_raw()
for name in ("locust.user.task", "locust.stats_logger", "triton_users.stress", None):
    logging.getLogger(name).info("%s said \\x1b[2J\\x00", name)
    try:
        raise ValueError("\\x1b[31m")
    except ValueError:
        logging.getLogger(name).exception("failed\\nin two lines")
logging.getLogger("mine").info("\\x1b[32mgreen")
assert not any("\\x1b[2J" in line for line in get_logs())
"""


def test_control_characters_are_written_out_on_all_of_locusts_handlers_but_not_in_ones_own_logs() -> None:
    path = [*filter(None, sys.path), str(ROOT)]
    code = f"import sys; sys.path[:0] = {path!r}\n{LOGGING}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    said = (ran.stdout + ran.stderr).decode()
    assert said.count(r"said \x1b[2J\x00") == 4
    assert said.count("failed\nin two lines") == 4
    assert said.count(r"ValueError: \x1b[31m") == 4
    assert "\x00" not in said
    assert said.count("\x1b") == 1
    assert "\x1b[32mgreen" in said
