"""The audit as a person reads it in a terminal: counts, and what each means in words. Pure."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from empathy_core.counted import counted
from empathy_core.personal.kinds import WORDS


def text(audit: Mapping[str, Any]) -> str:
    """Return the audit in lines of at most 100 characters."""
    parts = (
        _warnings,
        _sources,
        _duplicates,
        _splits,
        _leaks,
        _shape,
        _turns,
        _references,
        _personal,
        _evaluated,
    )
    shown = ("\n".join(part(audit)) for part in parts)
    return "\n\n".join(filter(None, shown)) + "\n"


def _asked(audit: Mapping[str, Any], *, one: bool = False) -> str:
    """Return what rows are of: questions, conversations, or both; *one*: a single one."""
    taken = audit.get("turns", {}).get("examples", 0)
    words = ["conversation"] * (taken > 0) + ["question"] * (taken < audit["rows"])
    return " or ".join(words) if one else " and ".join(f"{word}s" for word in words)


def _line(label: str, value: object, meaning: str = "") -> str:
    shown = f"{value:,}" if isinstance(value, int) else str(value)
    return f"  {label:<34}{shown:>9}  {meaning}".rstrip()


def _warnings(audit: Mapping[str, Any]) -> Iterator[str]:
    warnings = audit.get("warnings")  # audits of older runs have none
    if warnings:
        yield "WARNINGS"
        for warning in warnings:
            yield textwrap.fill(warning, 100, initial_indent="  ", subsequent_indent="  ")


def _sources(audit: Mapping[str, Any]) -> Iterator[str]:
    yield f"SOURCES (cleaning version {audit['cleaning_version']})"
    for source in audit["sources"]:
        passed = "may be passed on" if source["redistribute"] else "not to be passed on"
        # audits of older runs do not say it
        leaves = ", may be sent to servers elsewhere" if source.get("may_leave") else ""
        yield f"  {source['name']}: {source['licence']}, {passed}{leaves}"
        if "conversations" in source:
            yield _line("  conversations read", source["conversations"])
            yield _line("  examples taken of them", source["raw"])
        else:
            yield _line("  rows read", source["raw"])
        for reason, n in source["dropped"].items():
            yield _line("  dropped", n, reason)
        yield _line("  rows kept", source["kept"])
        for kind, n in source["repaired"].items():
            yield _line("  repaired", n, kind)
        if wrong := source.get("misread"):
            said = f"rows with characters decoded wrongly: {', '.join(wrong['examples'])}"
            yield _line("  misread", wrong["rows"], said)
        for kind, places in source.get("redacted", {}).items():
            yield _line("  redacted", sum(places.values()), _LABELS.get(kind, kind))


def _duplicates(audit: Mapping[str, Any]) -> Iterator[str]:
    exact, near = audit["exact_duplicates"], audit["near_duplicates"]
    times = ", ".join(f"{n:,} occur {_times(t)}" for t, n in exact["pairs_by_times"].items())
    yield "DUPLICATES (equal but for case, spaces and the punctuation of sentences)"
    yield _line("clean rows before dropping", exact["rows"])
    of = "history" if _asked(audit) == "conversations" else "question"
    yield _line(f"distinct {of}-answer pairs", exact["distinct_pairs"])
    yield f"    {times}"
    yield _line("surplus rows within a source", exact["surplus_rows_within_sources"])
    yield _line("surplus rows across sources", exact["surplus_rows_across_sources"])
    how = f"Jaccard >= {near['threshold']:g} over {near['words']}-word sequences"
    yield _line("near-equal answers, same source", near["pairs_within_sources"], f"pairs; {how}")
    yield _line("near-equal answers, across sources", near["pairs_across_sources"], "pairs")
    yield _line("rows with such an answer", near["rows"])


def _times(times: str) -> str:
    return {"1": "once", "2": "twice"}.get(times, f"{times} times")


def _splits(audit: Mapping[str, Any]) -> Iterator[str]:
    yield f"SPLITS ({audit['rows']:,} rows, {audit['questions']:,} {_asked(audit)})"
    for name, sizes in audit["splits"].items():
        share = sizes["rows"] / max(audit["rows"], 1)
        yield _line(name, sizes["rows"], f"{share:.1%}, {sizes['questions']:,} {_asked(audit)}")


def _leaks(audit: Mapping[str, Any]) -> Iterator[str]:
    leaks, asked = audit["leaks"], _asked(audit, one=True)
    yield "LEAKS BETWEEN SPLITS (0 means none)"
    yield _line(
        f"{_asked(audit)} on several sides", leaks["questions"], "a tuned model may have read them"
    )
    yield _line("answers on several sides", leaks["answers"], "equal but for case and punctuation")
    yield _line("pairs of near-equal answers", leaks["near_answers"], "on different sides")
    yield _line("validation and test rows", leaks["held_out_rows"])
    yield _line(f"  {asked} also in train", leaks["held_out_rows_question_in_train"])
    yield _line("  answer also in train", leaks["held_out_rows_answer_in_train"])
    yield _line("  answer or a near one in train", leaks["held_out_rows_answer_or_near_in_train"])


def _shape(audit: Mapping[str, Any]) -> Iterator[str]:
    per_question = audit["answers_per_question"]
    yield f"ANSWERS PER {_asked(audit, one=True).upper()}"
    most = list(per_question.items())
    for answers, n in most[:6]:
        yield _line(f"{answers} answer{'' if answers == '1' else 's'}", n, _asked(audit))
    if len(most) > 6:
        yield _line(f"7 or more, up to {most[-1][0]}" if most[6][0] == "7" else
                    f"{most[6][0]} to {most[-1][0]} answers",
                    sum(n for _, n in most[6:]), _asked(audit))  # fmt: skip
    yield ""
    yield "LENGTHS (words)"
    quantiles = audit["words"]
    yield "  " + " " * 14 + "".join(f"{name:>10}" for name in quantiles["context"])
    taken = audit.get("turns", {}).get("examples", 0)
    before = "what was said" if taken == audit["rows"] else "question"
    for column, label in (("context", before), ("response", "answer")):
        yield f"  {label:<14}" + "".join(f"{value:>10,.0f}" for value in quantiles[column].values())


_LABELS: Mapping[str, str] = {kind: words.label for kind, words in WORDS.items()}


def _personal(audit: Mapping[str, Any]) -> Iterator[str]:
    found = audit.get("personal")  # audits of older runs have none
    if not found:
        return
    yield "PERSONAL DATA FOUND BY PATTERNS (equal texts count once; examples are masked)"
    yield f"  {'':<50}" + "".join(f"{place:>12}" for place in found["texts"])
    for kind, of in found["kinds"].items():
        times = [of["fields"].get(place, {}).get("found", 0) for place in found["texts"]]
        label = f"{kind}: {_LABELS.get(kind, kind)}"
        yield f"  {label:<50}" + "".join(f"{n:>12,}" for n in times)
        for example in of["examples"]:
            yield f"    {example}"[:100]
    total = sum(found["texts"].values())
    if found["searched"] < total:
        yield _line("texts searched", found["searched"], f"in even steps, of {total:,}")
    yield textwrap.fill(_NOT_FOUND, 100, initial_indent="  ", subsequent_indent="  ")


_NOT_FOUND = (
    "Patterns do not find names within sentences, places, employers, schools, ages, or a story "
    "that only one person can tell: a text without a hit is not anonymous. Columns of author, "
    "group and keep are not searched."
)


def _references(audit: Mapping[str, Any]) -> Iterator[str]:
    found = audit.get("references")  # only where a row has several
    if found:
        yield "REFERENCES (answers that each answer is compared with)"
        mean = found["references"] / found["rows"]
        yield _line("references", found["references"], f"{mean:.1f} a row")
        for n, rows in found["rows_by_references"].items():
            yield _line(f"{n} reference{'' if n == '1' else 's'}", rows, "evaluated rows")
        n_leaked = found["held_out_rows_reference_in_train"]
        yield _line("rows with one also in train", n_leaked, "a tuned model may have read it")


def _turns(audit: Mapping[str, Any]) -> Iterator[str]:
    found = audit.get("turns")
    if not found:
        return
    yield "CONVERSATIONS (all examples of one are on the same side of a split, and one cluster)"
    yield _line("conversations", found["conversations"])
    yield _line("examples", found["examples"])
    yield _line("  begin with the answering side", found["opened_by_assistant"])
    yield _line("histories on several sides", found["histories_on_several_sides"], _SHORT)
    yield "  " + " " * 24 + "".join(f"{name:>9}" for name in found["turns"])
    for key, label in (
        ("per_conversation", "examples a conversation"),
        ("turns", "turns before an answer"),
        ("words_per_turn", "words a turn"),
    ):
        yield f"  {label:<24}" + "".join(f"{value:>9,.0f}" for value in found[key].values())


_SHORT = "equal texts; greetings, mostly"


def _evaluated(audit: Mapping[str, Any]) -> Iterator[str]:
    rows = audit["evaluated"]
    yield "EVALUATED IN THIS RUN"
    yield _line("rows", rows["rows"], f"from {', '.join(rows['splits'])}")
    yield _line(_asked(audit), rows["questions"], "distinct but for case and punctuation")
    yield _line(
        "contexts", rows["contexts"], f"distinct texts, in {counted(rows['blocks'], 'block')}"
    )
    if rows["pairs"] < rows["rows"]:
        yield _line("rows beyond the first of a pair", rows["rows"] - rows["pairs"], "duplicates")
