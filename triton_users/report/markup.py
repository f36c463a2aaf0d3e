"""The small pieces of HTML the page is made of: escaped text, table cells, JSON in lines. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from triton_users.report.text import milliseconds, number, printable

LINE = 100
"""Characters of a failure's record that stand on one line."""


def e(text: object) -> str:
    """Text for HTML, control characters written out."""
    return escape(printable(str(text)))


def pretty(value: Any, indent: str = "") -> str:
    """JSON with what fits into a line on one line: a sequence's steps are then a line each."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(line) + len(indent) <= LINE:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(item, deeper)}" for key, item in value.items()]
        return f"{{\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}}}"
    return f"[\n{deeper}" + f",\n{deeper}".join(pretty(item, deeper) for item in value) + f"\n{indent}]"


def e_lines(text: str) -> str:
    """Text of several lines for HTML."""
    return "\n".join(e(line) for line in text.split("\n"))


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = (), sortable: bool = False
) -> str:
    """A table of cells that are HTML already, each a `<td>`; `right` columns are aligned on the right in the head."""
    head = "".join(f'<th class="n">{h}</th>' if i in right else f"<th>{h}</th>" for i, h in enumerate(heads))
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    kind = ' class="sortable"' if sortable else ""
    return f'<div class="card scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def n(value: float | None, shown: str, colour: str = "") -> str:
    """A cell with a number, sorted by its value and not by what is shown."""
    return f'<td class="n {colour}" data-sort="{-1 if value is None else value}">{shown}</td>'


def count(value: int, colour: str = "") -> str:
    """A cell with a count; `colour` is for counts that should be 0."""
    return n(value, number(value), colour if value else "")


def ms(value: float | None) -> str:
    """A cell with milliseconds."""
    return n(value, milliseconds(value))


def td(html: str) -> str:
    """A cell of HTML."""
    return f"<td>{html}</td>"
