"""The drawing of the rooms: ``python docs/rooms.py`` writes ``docs/images/rooms.svg`` from the imports (needs grimp).

A room stands above all that it imports; a line is at least one import, and the tooltip of a line says how many. Imports
for the checker of types alone are left out.
"""

from __future__ import annotations

from pathlib import Path

import grimp

PLACE = Path(__file__).parent / "images" / "rooms.svg"
WIDTH, STEP, BOX = 900, 74, 104


def edges() -> dict[tuple[str, str], int]:
    """(room, room it imports) -> modules that import."""
    graph = grimp.build_graph("equipoise", exclude_type_checking_imports=True)
    found: dict[tuple[str, str], int] = {}
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            if module.count(".") and other.count("."):
                pair = module.split(".")[1], other.split(".")[1]
                if pair[0] != pair[1]:
                    found[pair] = found.get(pair, 0) + 1
    return found


def heights(lines: dict[tuple[str, str], int]) -> dict[str, int]:
    """The longest way down from a room; raises ValueError for rooms that import each other in a circle."""
    rooms = {room for pair in lines for room in pair}
    level = dict.fromkeys(rooms, 0)
    for _ in range(len(rooms) + 1):
        new = {r: max((level[b] + 1 for a, b in lines if a == r), default=0) for r in rooms}
        if new == level:
            return level
        level = new
    raise ValueError("rooms import each other in a circle: lint-imports says where")


def svg() -> str:
    """The drawing."""
    lines = edges()
    level = heights(lines)
    top = max(level.values())
    rows = {k: sorted(r for r in level if level[r] == k) for k in range(top + 1)}
    at = {
        room: (WIDTH * (i + 1) / (len(row) + 1) + (14 if k % 2 else -14), 36 + (top - k) * STEP)
        for k, row in rows.items()
        for i, room in enumerate(row)
    }
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {72 + top * STEP}" font-family="sans-serif" '
        'font-size="14" role="img"><title>The rooms of Equipoise: each imports only from below</title>'
        f'<rect width="{WIDTH}" height="{72 + top * STEP}" fill="#fff"/>'
    ]
    for (a, b), n in sorted(lines.items()):
        (x, y), (u, v) = at[a], at[b]
        path = f"M{x:.0f} {y + 15:.0f}C{x:.0f} {y + 45:.0f} {u:.0f} {v - 45:.0f} {u:.0f} {v - 15:.0f}"
        width = 0.5 + min(n, 40) / 20
        out.append(
            f'<path d="{path}" fill="none" stroke="#567" stroke-opacity=".45" stroke-width="{width:.2f}">'
            f"<title>{a} imports {b}: {n}</title></path>"
        )
    for room, (x, y) in sorted(at.items()):
        out.append(
            f'<rect x="{x - BOX / 2:.0f}" y="{y - 15:.0f}" width="{BOX}" height="30" rx="4" fill="#eef3f7" '
            f'stroke="#567"/><text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle">{room}</text>'
        )
    return "\n".join([*out, "</svg>"]) + "\n"


if __name__ == "__main__":
    PLACE.write_text(svg(), encoding="utf-8")
    print("docs/images/rooms.svg")
