"""`python tests/in_parts.py [PYTEST ARGUMENTS]`: the whole suite, as parts that run side by side.

Most tests wait: for a server to start, for a run to end. The folders whose tests do so longest are parts of their own
(PARTS); the first part is all that is in none of them, so that a new folder needs no line here. Its output is shown as
it comes, the others' when they have ended. The exit code is 1 when a part failed, 130 after an interrupt.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS: list[list[str]] = [["tests/end_to_end", "tests/any_model"]]
"""The folders of each part but the first. Seen on two cores: 18 and 20 minutes."""
END_LIMIT_S = 30.0
"""How long a part may take to end after an interrupt, in seconds: what it started ends with it."""


def main(arguments: list[str]) -> int:
    ours = [folder for part in PARTS for folder in part]
    parts = [["tests", *(f"--ignore={folder}" for folder in ours)], *PARTS]
    running: list[tuple[str, subprocess.Popen[bytes], Path | None]] = []
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, chosen in enumerate(parts):
                output = None if number == 0 else Path(folder, str(number))
                to = None if output is None else output.open("wb")
                command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *chosen, *arguments]
                name = "all other tests" if number == 0 else ", ".join(chosen)
                print(f"Part {number + 1} of {len(parts)}: {name}", flush=True)
                running.append((name, subprocess.Popen(command, cwd=ROOT, stdout=to, stderr=to), output))
                if to is not None:
                    to.close()
            codes = []
            for name, process, output in running:
                codes.append(process.wait())
                print(f"\n{name}: exit code {codes[-1]} after {time.monotonic() - began_s:.0f} s", flush=True)
                if output is not None:
                    sys.stdout.flush()
                    sys.stdout.buffer.write(output.read_bytes())
                    sys.stdout.flush()
        except KeyboardInterrupt:  # which the parts had from the terminal as well
            return 130
        finally:
            end([process for _, process, _ in running])
    failed = [name for (name, _, _), code in zip(running, codes, strict=True) if code]
    print(f"\nFAILED: {'; '.join(failed)}" if failed else "\nAll parts passed.", flush=True)
    return int(bool(failed))


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End those that run still; what a part started ends with it."""
    until_s = time.monotonic() + END_LIMIT_S
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(max(0.0, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
