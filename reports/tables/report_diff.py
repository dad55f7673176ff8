"""What moved between two reports → text for a terminal. Pure."""

from collections.abc import Iterator, Sequence

from reports.labels import (
    count,
)
from reports.numbers.report_diff import Movement, Movements

LISTED = 8
"""Numbers that are listed of each group; the rest are counted."""

ROWS = 5


def text(found: Movements) -> str:
    """Return the comparison: what was changed, what moved and by which change, and the rows."""
    return "\n".join([*_head(found), *_legend(found), *_groups(found)])


def _head(found: Movements) -> Iterator[str]:
    first, second = found.first, found.second
    yield f"{first.name}: numbers of version {first.version}"
    yield f"{second.name}: numbers of version {second.version}"
    same = "the same" if first.data == second.data else f"{first.data} -> {second.data}"
    yield f"rows: {same}"
    for one, other in ((first, second), (second, first)):
        if only := [name for name in one.conditions if name not in other.conditions]:
            yield f"only in {one.name}: {'; '.join(only)}; the tests are of another family"
    for name, (before, now) in found.signatures.items():
        yield f"metric {name}: {before or 'absent'}\n  -> {now or 'absent'}"
    moved = {m.moved.key for m in found.found}
    printed = {m.moved.key for m in found.found if m.printed}
    yield (
        f"numbers: {count(found.n_same)} are the same, {count(len(moved))} are not "
        f"({count(len(printed))} differ in print)"
    )


def _legend(found: Movements) -> Iterator[str]:
    """Name the changes that lie between the two reports."""
    if found.between:
        yield "\nwhat the suite changed in between:"
    for change in found.between:
        none = " (moves no number)" if change.moves is None else ""
        yield f"  [{change.version}] {change.about}, {change.date}{none}: {change.says}"


def _groups(found: Movements) -> Iterator[str]:
    groups: dict[tuple[int, ...], list[Movement]] = {}
    for movement in found.found:
        groups.setdefault(tuple(c.version for c in movement.causes), []).append(movement)
    for _, movements in sorted(groups.items(), key=_order):
        yield ""
        yield _explained(movements)
        yield from _rows(movements)
        yield from _listed(movements)


def _order(group: tuple[tuple[int, ...], Sequence[Movement]]) -> tuple[bool, bool, tuple[int, ...]]:
    """Put first what nothing explains, then values, then the rest."""
    versions, movements = group
    return bool(versions), all(m.part != "value" for m in movements), versions


def _explained(movements: Sequence[Movement]) -> str:
    causes = movements[0].causes
    n = len({m.moved.key for m in movements})
    moved = "1 number moved" if n == 1 else f"{count(n)} numbers moved"
    if not causes:
        return (
            f"{moved}, and no declared change of the suite explains it: look for other conditions, "
            "settings, answers or package versions"
        )
    named = ", ".join(f"[{c.version}] {c.about}" for c in causes)
    return f"{moved}, explained by {'' if len(causes) == 1 else 'one or more of '}{named}:"


def _rows(movements: Sequence[Movement]) -> Iterator[str]:
    """Name the rows whose own score is another one."""
    told: dict[tuple[str, str], str] = {}
    for movement in movements:
        wanted = {f for c in movement.causes for f in c.rows}
        for side in movement.moved.sides:
            rows = side.unlike.rows if side.unlike else {}
            mine = {row: set(of) & wanted for row, of in rows.items() if set(of) & wanted}
            if mine:
                named = [f"{e} (sample {s})" if s else e for e, s in list(mine)[:ROWS]]
                more = f" and {count(len(mine) - ROWS)} more" if len(mine) > ROWS else ""
                alike = ", ".join(sorted(set().union(*mine.values())))
                at = side.name, movement.moved.metric
                n = "1 row" if len(mine) == 1 else f"{count(len(mine))} rows"
                told[at] = f"{n} ({alike}): {', '.join(named)}{more}"
    for (name, metric), sentence in told.items():
        yield f"    {name}, {metric}: {sentence}"


def _listed(movements: Sequence[Movement]) -> Iterator[str]:
    ordered = sorted(movements, key=lambda m: not m.printed)
    for movement in ordered[:LISTED]:
        before, now = movement.before or "absent", movement.now or "absent"
        change = f"{before} -> {now}" if movement.printed else f"{now}, not in print"
        yield f"    {movement.moved.key}  {movement.part}: {change}"
    if len(ordered) > LISTED:
        yield f"    and {count(len(ordered) - LISTED)} more (all: --json)"
