"""Writes the tables of docs/options.md anew, from what triton_users declares.

python docs/options_table.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from triton_users.options import table  # noqa: E402 - from the checkout

BEGIN, END = "<!-- from here on made by docs/options_table.py -->", "<!-- up to here made by docs/options_table.py -->"


def main() -> None:
    page = ROOT / "docs" / "options.md"
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{table()}\n{END}{after}")


if __name__ == "__main__":
    main()
