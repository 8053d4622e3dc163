"""What a split says of rare events that one of its roles has none of, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Kinds of events told one by one.
TOLD = 3
#: Roles in the order in which it matters to a reader that they have none, and what follows.
_FOLLOWS = {
    "held out": "no figure on held-out rows speaks of them",
    "train": "the model has not learned them",
    "validation": "training was not judged by them",
}
_ROWS = {"held out": "held-out", "train": "training", "validation": "validation"}


def missing_events(split: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """Which kinds of rare events are missing from which roles, a sentence for each kind.

    Parameters
    ----------
    split : mapping
        The record of a :class:`~latentflow.data.splits.Split`; of older models it says nothing of events.
    columns : sequence of str
        Names of the columns of the table.

    Returns
    -------
    list of str
        Without a full stop; empty where no role lacks a kind.

    Examples
    --------
    >>> blinks = {"column": 0, "along": "column", "events": 9}
    >>> blinks["by_role"] = {"train": 7, "validation": 2, "held out": 0, "gap": 0}
    >>> missing_events({"rare_events": [blinks]}, ["Fp1"])
    ["of 9 events in which 'Fp1' is extreme, none is among the held-out rows: no figure on held-out \
rows speaks of them"]
    """
    lacking = [(kind, roles) for kind in split.get("rare_events") or () if (roles := _lacking(kind))]
    told = [_sentence(kind, roles, columns) for kind, roles in lacking[:TOLD]]
    if more := len(lacking) - TOLD if len(lacking) > TOLD else 0:
        kinds = "kinds of extreme events are" if more > 1 else "kind of extreme events is"
        told.append(f"{more} more {kinds} missing from a role of the split")
    return told


def headline_without(split: Mapping[str, Any], columns: Sequence[str]) -> str:
    """One sentence with which a headline leads, of the kind that is missing where it matters most; or an empty one.

    Parameters
    ----------
    split, columns
        As for :func:`missing_events`.
    """
    for role in _FOLLOWS:
        for kind in split.get("rare_events") or ():
            if role in _lacking(kind):
                rows = f"the {_ROWS[role]} rows"
                if kind["events"] == 1:
                    return f"The one event {_where(kind, columns)} is not among {rows}."
                return f"None of the {kind['events']} events {_where(kind, columns)} is among {rows}."
    return ""


def _lacking(kind: Mapping[str, Any]) -> list[str]:
    return [role for role in _FOLLOWS if kind["by_role"].get(role) == 0]


def _where(kind: Mapping[str, Any], columns: Sequence[str]) -> str:
    name = f"'{columns[kind['column']]}'"
    what = name if kind["along"] == "column" else f"a combination of columns (most of all {name})"
    return f"in which {what} is extreme"


def _sentence(kind: Mapping[str, Any], roles: Sequence[str], columns: Sequence[str]) -> str:
    rows = " or ".join(f"the {_ROWS[role]} rows" for role in roles)
    what = f"among {rows}: {' and '.join(_FOLLOWS[role] for role in roles)}"
    if kind["events"] == 1:
        what = (
            what.replace("of them", "of it").replace("by them", "by it").replace("learned them", "learned it")
        )
        return f"the one event {_where(kind, columns)} is not {what}"
    return f"of {kind['events']} events {_where(kind, columns)}, none is {what}"
