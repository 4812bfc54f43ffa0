"""Tables of Markdown, as `docs/format.md` has them."""

import typing

from schemas.columns import Column


def column_table(columns: typing.Iterable[Column]) -> str:
    """Returns a table of columns: name, type, whether null is permitted, meaning."""
    rows = [(f"`{c.name}`", f"`{c.type}`", "" if c.required else "yes", c.doc) for c in columns]
    return table(("column", "type", "null", "meaning"), rows)


def table(head: typing.Sequence[str], rows: typing.Iterable[typing.Sequence[str]]) -> str:
    """Returns a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
