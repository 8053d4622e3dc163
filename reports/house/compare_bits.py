"""What differs between two results of ``bits.py``, and by how much.

    python compare_bits.py OLD.json NEW.json [--all]

Differences are taken over the values that a result keeps of each entry, not over all of them. Entries that are the
same to the bit are counted by part; with ``--all`` they are named.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

EXPECTED = "may change/"
#: Letters that are shown of a text, from where it differs.
AROUND = 60


def read(path: str) -> dict[str, dict[str, Any]]:
    """The entries of a result."""
    entries: dict[str, dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))["entries"]
    return entries


def same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two entries are the same to the bit."""
    return all(old.get(key) == new.get(key) for key in ("sha256", "shape", "dtype", "error"))


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """How two entries differ, in a few words."""
    if "error" in old or "error" in new:
        return f"{old.get('error', 'a value')} -> {new.get('error', 'a value')}"
    words = []
    if (old["shape"], old.get("dtype")) != (new["shape"], new.get("dtype")):
        words.append(f"{old['shape']} {old.get('dtype', '')} -> {new['shape']} {new.get('dtype', '')}")
    elif old["values"]:
        words.append(sizes(old["values"], new["values"]))
    if old.get("text") != new.get("text"):
        words.append(texts(old.get("text", ""), new.get("text", "")))
    return "; ".join(words) or "differs beyond what is kept of it"


def texts(old: str, new: str) -> str:
    """Where two texts part, and how they go on."""
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, at - AROUND // 2)
    return f"text …{old[start : at + AROUND]}… -> …{new[start : at + AROUND]}…"


def sizes(old: list[float], new: list[float]) -> str:
    """The largest difference of values, and what it is relative to the largest value."""
    pairs = [(a, b) for a, b in zip(old, new, strict=True) if not (math.isnan(a) and math.isnan(b))]
    gap = max((abs(a - b) if a != b else 0.0 for a, b in pairs), default=0.0)
    if gap == 0.0:
        return f"the {len(old)} values kept are equal, others or a sign of zero are not"
    largest = max(max(abs(a), abs(b)) for a, b in pairs)
    return f"up to {gap:.2g}, of {largest:.3g} (relative {gap / largest:.2g})"


def main() -> None:
    """Print the comparison."""
    old, new = read(sys.argv[1]), read(sys.argv[2])
    equal = [name for name in old if name in new and same(old[name], new[name])]
    others = [name for name in old if name in new and not same(old[name], new[name])]
    print("Same to the bit, of all:")
    everything = Counter(part(name) for name in old)
    counts = Counter(part(name) for name in equal)
    for name, n in everything.items():
        print(f"  {name}: {counts[name]} of {n}")
    if "--all" in sys.argv:
        for name in equal:
            print(f"  = {name}")
    for title, chosen in (
        ("Different", [name for name in others if not name.startswith(EXPECTED)]),
        ("Different, as expected", [name for name in others if name.startswith(EXPECTED)]),
    ):
        print(f"{title}: {len(chosen)}")
        for name in chosen:
            print(f"  {name}: {difference(old[name], new[name])}")
    for title, left in (
        ("Only in the old one", old.keys() - new.keys()),
        ("Only in the new one", new.keys() - old.keys()),
    ):
        print(f"{title}: {len(left)}")
        for name in sorted(left):
            print(f"  {name}: {new.get(name, {}).get('error', '')}".rstrip(": "))


def part(name: str) -> str:
    """The part that an entry belongs to."""
    return EXPECTED.rstrip("/") if name.startswith(EXPECTED) else name.split("/")[0]


if __name__ == "__main__":
    main()
