"""Asks from another host what a kubelet, Prometheus or a person would ask: one line, one answer.

python -m tests.kubernetes.prober

For each URL that it reads it prints what is there as JSON, null when nothing answers; for HOST:PORT whether it listens.
"""

import json
import socket
import sys
import urllib.request

LIMIT_S = 10.0


def answer(question: str) -> str | bool | None:
    try:
        if "://" in question:
            with urllib.request.urlopen(question, timeout=LIMIT_S) as found:
                text: str = found.read().decode()
            return text
        host, port = question.split(":")
        socket.create_connection((host, int(port)), LIMIT_S).close()
        return True
    except OSError:
        return None if "://" in question else False


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), flush=True)
