"""How much code there is by room: ``python docs/lines.py FOLDER`` prints a table of a source tree, of any revision.

Statements are counted as Python parses them, so that a formatter moves nothing; lines are those that hold code, without
blanks, comments and docstrings.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

_EMPTY = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def counted(path: Path) -> tuple[int, int]:
    """Statements and lines of code of a module."""
    text = path.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    said = [n for n in nodes if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    words = {line for n in said for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _EMPTY:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return sum(isinstance(n, ast.stmt) for n in nodes) - len(said), len(lines - words)


def table(package: Path) -> str:
    """One row a room, most statements first, and their sum."""
    statements, lines, modules = Counter[str](), Counter[str](), Counter[str]()
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package).parts
        name = f"`{inside[0]}/`" if len(inside) > 1 else "the package itself"
        made, held = counted(path)
        statements[name] += made
        lines[name] += held
        modules[name] += 1
    rows = ["| room | modules | lines of code | statements |", "| --- | ---: | ---: | ---: |"]
    rows += [f"| {name} | {modules[name]} | {lines[name]:,} | {n:,} |" for name, n in statements.most_common()]
    rows.append(f"| all | {modules.total()} | {lines.total():,} | {statements.total():,} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(Path(sys.argv[1] if len(sys.argv) > 1 else "src/equipoise")))
