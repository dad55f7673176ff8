r"""Numbers typed by hand, in every form that LaTeX has: right ones are known, wrong ones found."""

import random
import time
from itertools import combinations, permutations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from empathy_core.types import Column
from reports.claims import show
from reports.claims.citable_numbers import Citable
from reports.claims.citables import citables_of_run
from reports.claims.evidence import Evidence, Measure, Score, Subject
from reports.claims.findings import DOES_NOT_HOLD, HOLDS, Findings
from reports.claims.manuscript import Manuscript, scan
from reports.claims.typed_numbers import Typed, find
from reports.keys import difference_key, score_key
from reports.labels import number, p_text
from reports.numbers.results import Result

ROUGE = Column("rouge1", "ROUGE-1")
BLEU = Column("bleu", "BLEU")
EMPTY = Column("empty", "Empty", decimals=1, percent=True)
WORDS = Column("words", "Words", decimals=1)
COLUMNS = (ROUGE, BLEU, EMPTY, WORDS)
MEASURES = tuple(Measure(c.name, c) for c in COLUMNS)
PROMPTS = {"none": "No Prompt", "prompt2": "Prompt 2"}
MODELS = {"llama": "LLaMA 3.1 8B Instruct", "flan": "FLAN-T5", "t5": "T5"}
SUBJECTS = tuple(
    Subject(f"{m}.{p}", (m, model), (p, prompt), m)
    for m, model in MODELS.items()
    for p, prompt in PROMPTS.items()
)
CONDITIONS = tuple(s.key for s in SUBJECTS)

Table = dict[tuple[str, str], float]
"""(condition, column) → score."""


def result(key: str, kind: str, column: Column, value: float, p: float | None) -> Result:
    """Return a number with an interval that is a little wider below."""
    low, high = value - 0.031, value + 0.027
    signed = kind != "score"

    def text(of: float) -> str:
        return number(of, column, signed=signed)

    return Result(key, kind, value, low, high, p, 32, 32, text(value), text(low), text(high),
                  "" if p is None else p_text(p))  # type: ignore[arg-type]  # fmt: skip


def citables(
    table: Table, tests: dict[tuple[str, str], float] | None = None
) -> tuple[Citable, ...]:
    """Return all scores and differences of *table*; *tests*: (second, first) → p."""
    evidence = Evidence("a run", SUBJECTS, MEASURES, {at: Score(v) for at, v in table.items()})
    found = [
        result(score_key(s, c.name), "score", c, table[s, c.name], None)
        for s in CONDITIONS for c in COLUMNS
    ]  # fmt: skip
    for one, other in permutations(CONDITIONS, 2):
        p = (tests or {}).get((one, other), (tests or {}).get((other, one), 0.5))
        found += [
            result(difference_key(one, other, c.name), "difference", c,
                   table[one, c.name] - table[other, c.name], p)
            for c in COLUMNS
        ]  # fmt: skip
    return citables_of_run(found, evidence)


def drawn(seed: int) -> Table:
    """Return scores of four decimals: no two alike, and no difference equal to a score."""
    draw = random.Random(seed)
    table = {(s, c.name): draw.randrange(1500, 9800) / 10_000 for s in CONDITIONS for c in COLUMNS}
    words = {(s, WORDS.name): draw.randrange(400, 9000) / 10 for s in CONDITIONS}
    shares = {(s, EMPTY.name): draw.randrange(150, 980) / 1000 for s in CONDITIONS}
    return table | words | shares


TABLE = drawn(3)
SHELF = citables(TABLE)


def read(text: str, shelf: tuple[Citable, ...] = SHELF) -> tuple[Typed, ...]:
    """Return what is found of every number of a text."""
    return find(Manuscript((scan(text, "a.tex"),), ()), shelf)


def one(text: str, shelf: tuple[Citable, ...] = SHELF) -> Typed:
    """Return what is found of the one number of a text."""
    (found,) = read(text, shelf)
    return found


# ---------------------------------------------------------------------------- forms

FORMS = {
    "plain": "{v}",
    "without its zero": "{bare}",
    "math": "${v}$",
    "minus": "$-{v}$",
    "minus of Unicode": "\N{MINUS SIGN}{v}",
    "bold": "\\textbf{{{v}}}",
    "marked": "${v}^{{\\dagger}}$",
    "starred": "{v}\\rlap{{*}}",
    "footnote mark": "{v}\\footnotemark",
    "num": "\\num{{{v}}}",
    "num with options": "\\num[round-mode=places]{{{v}}}",
    "num with a comma": "\\num{{{comma}}}",
    "SI": "\\SI{{{hundred}}}{{\\percent}}",
    "qty": "\\qty{{{hundred}}}{{\\%}}",
    "percent": "{hundred}\\%",
    "percent apart": "{hundred}\\,\\%",
    "percent in words": "{hundred} percent",
    "per cent": "{hundred} per cent",
    "bold percent": "\\textbf{{{hundred}}}\\%",
    "percentage points": "{hundred} percentage points",
    "hundredfold": "{hundred}",
    "exponent": "{tenth}e-1",
    "exponent in capitals": "{tenth}E-01",
    "power of ten": "${tenth}\\times10^{{-1}}$",
    "power of ten with blanks": "${tenth} \\cdot 10 ^ {{ -1 }}$",
    "power of ten in Unicode": "{tenth}\u00d710\u207b\u00b9",
    "decimal comma": "{comma}",
    "decimal comma of TeX": "${tex_comma}$",
    "middle dot": "{dot}",
    "macro": "\\newcommand{{\\score}}{{{v}}}\\score{{}}",
    "macro without braces": "\\newcommand\\score{{{v}}}\\score",
    "macro of TeX": "\\def\\score{{{v}}}\\score",
    "macro of a macro": "\\newcommand\\a{{{v}}}\\newcommand\\b{{\\a}}\\b",
    "macro of num": "\\newcommand\\a{{\\num{{{v}}}}}\\a",
}
"""How a score of four decimals between 0 and 1 may be typed."""
TEXTS = (
    "With {prompt}, {model} reaches a {column} of {form}.",
    "The {column} of {model} is {form} under {prompt}, which is high.",
    "{column}: {form} ({model}, {prompt}).",
    "Earlier T5 was tried. On {column}, {model} has {form} with {prompt}.",
    "\\begin{{table}}\\caption{{{model} has a {column} of {form} with {prompt}.}}\\end{{table}}",
    "Text.\\footnote{{{model} with {prompt}: {column} {form}.}} More text.",
    "\\begin{{tabular}}{{llr}} Model & Prompt & {column} \\\\ {model} & {prompt} & {form} \\\\ "
    "\\end{{tabular}}",
    "\\begin{{tabular}}{{lr}} & {column} \\\\ \\midrule {model} & \\\\ {prompt} & {form} \\\\[2pt] "
    "\\end{{tabular}}",
    "\\begin{{tabular}}{{lcc}} & \\multicolumn{{2}}{{c}}{{{column}}} \\\\ & {prompt} & Other \\\\ "
    "{model} & {form} & x \\\\ \\end{{tabular}}",
)
"""What it may stand in."""


def spelled(form: str, value: float, decimals: int = 4) -> str:
    """Return a score in a form."""
    plain = f"{value:.{decimals}f}"
    return FORMS[form].format(
        v=plain, bare=plain.lstrip("0"), hundred=f"{100 * value:.{decimals - 2}f}",
        tenth=f"{10 * value:.{decimals - 1}f}", comma=plain.replace(".", ","),
        tex_comma=plain.replace(".", "{,}"), dot=plain.replace(".", "\N{MIDDLE DOT}"),
    )  # fmt: skip


def written(text: str, subject: Subject, column: Column, form: str) -> str:
    """Return a sentence or table about a number."""
    return text.format(model=subject.model_names[-1], prompt=subject.prompt_names[-1],
                       column=column.label, form=form)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_right_number_is_known_and_of_a_wrong_one_found(form: str):
    """As the number itself, in a sentence of its own."""
    subject, value = SUBJECTS[1], TABLE[SUBJECTS[1].key, "rouge1"]

    right = one(written(TEXTS[0], subject, ROUGE, spelled(form, value)))
    wrong = one(written(TEXTS[0], subject, ROUGE, spelled(form, value + 0.0123)))

    assert right.same is not None
    assert right.same.key == "llama.prompt2.rouge1"
    assert not right.doubt
    assert ("100 x" in right.how) == ("hundred" in FORMS[form])
    assert wrong.same is None or wrong.doubt
    assert wrong.nearest is not None
    assert wrong.nearest.key == "llama.prompt2.rouge1"


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 50), st.sampled_from(SUBJECTS), st.sampled_from((ROUGE, BLEU)),
    st.sampled_from(sorted(FORMS)), st.sampled_from(TEXTS),
    st.tuples(st.integers(0, 3), st.integers(1, 9)),
)  # fmt: skip
def test_any_score_is_known_as_itself_and_found_with_a_digit_changed(
    seed: int, subject: Subject, column: Column, form: str, text: str, change: tuple[int, int]
):
    """Whatever it is of, however it is written, and wherever it stands."""
    table = drawn(seed)
    shelf = citables(table)
    key, value = score_key(subject.key, column.name), table[subject.key, column.name]
    digits = f"{value:.4f}"
    place, more = change
    changed = int(digits[2 + place]) + more
    other = float(f"{digits[: 2 + place]}{changed % 10}{digits[3 + place :]}")
    mine = [
        c for c in shelf
        if c.command == "res" and c.key != key and c.key.endswith(f".{column.name}")
        and subject.group in [side.partition(".")[0] for side in c.key.split("-vs-")]
    ]  # fmt: skip
    assume(other >= 0.01)
    assume(all(min(abs(c.value - other), abs(c.value - value)) > 1e-4 for c in mine))

    right = one(written(text, subject, column, spelled(form, value)), shelf)
    wrong = one(written(text, subject, column, spelled(form, other)), shelf)

    assert right.same is not None
    assert (right.same.key, right.doubt) == (key, "")
    assert wrong.same is None or wrong.doubt


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 50), st.sampled_from(list(combinations(SUBJECTS, 2))))
def test_any_difference_is_known_as_itself(seed: int, pair: tuple[Subject, Subject]):
    """Named by both its sides; with its interval, in any of three forms."""
    table = drawn(seed)
    shelf = citables(table)
    a, b = pair
    assume(a.group != b.group)
    value = table[a.key, "rouge1"] - table[b.key, "rouge1"]
    says = f"{a.model_names[-1]} and {b.model_names[-1]} differ by {{}} on ROUGE-1."
    own = [c for c in shelf if c.command == "res" and c.key.endswith(".rouge1")]
    same = [c for c in own if abs(c.value - abs(value)) < 1e-4]
    assume(len(same) == 2)

    found = one(says.format(f"{abs(value):.4f}"), shelf)
    points = one(says.format(f"{100 * abs(value):.2f} points"), shelf)

    assert found.same is not None
    assert points.same is not None
    assert {found.same.key, points.same.key} <= {c.key for c in same}
    assert (found.doubt, points.how) == ("", "100 x" if abs(value) >= 0.01 else points.how)


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("Empty answers of T5 under Prompt 2: {:.1%}.", "t5.prompt2.empty"),
        ("T5 under Prompt 2 leaves {:.1%} Empty.", "t5.prompt2.empty"),
        ("\\begin{{tabular}}{{lr}} & Empty (\\%) \\\\ T5, Prompt 2 & {:.1f} \\\\ \\end{{tabular}}",
         "t5.prompt2.empty"),
        ("T5 writes {:.1f} Words under Prompt 2.", "t5.prompt2.words"),
    ],
)  # fmt: skip
def test_one_decimal_is_enough_where_the_text_names_the_number(typed: str, key: str):
    """Percentages with a sign or in a column of percentages, and means of counts."""
    value = TABLE["t5.prompt2", key.rpartition(".")[2]]
    shown = typed.format(100 * value if "tabular" in typed else value).replace("%}", "\\%}")
    text = shown if "tabular" in typed else shown.replace("%", "\\%")

    found = one(text)

    assert found.same is not None
    assert (found.same.key, found.doubt) == (key, "")


def test_thousands_are_one_number():
    """However they are parted."""
    table = TABLE | {("t5.none", "words"): 12_345.6}
    shelf = citables(table)

    for text in ("12,345.6", "12\\,345.6", "12{,}345.6", "12\N{NARROW NO-BREAK SPACE}345.6"):
        found = one(f"T5 with No Prompt: {text} Words.", shelf)
        assert found.same is not None
        assert (found.same.key, found.text) == ("t5.none.words", "12345.6")


# ---------------------------------------------------------------------------- intervals, ratios


def test_what_stands_after_plus_minus_is_half_the_interval():
    """In text, small below, with ``pm`` and as siunitx has it; a wrong one is found."""
    value = TABLE["t5.none", "rouge1"]
    says = "T5 with No Prompt has a ROUGE-1 of {}."
    for form in ("${v}_{{\\pm {w}}}$", "${v} \\pm {w}$", "{v} $\\pm$ {w}", "{v}\\pm{w}",
                 "\\num{{{v} +- {w}}}", "${v}_{{{w}}}$", "{v} \u00b1 {w}"):  # fmt: skip
        for width, right in ((0.029, True), (0.011, False)):
            text = form.format(v=f"{value:.4f}", w=f"{width:.3f}")
            number_, beside = read(says.format(text))
            assert number_.same is not None
            assert (beside.same is not None) == right, text
            assert beside.how == "half the width of"
            assert (beside.same or beside.nearest).text == "0.0290"  # type: ignore[union-attr]


def test_a_wrong_number_hides_behind_no_plus_minus():
    """What stands beside it is not told as well: the number itself is wrong."""
    (found,) = read("T5 gets a ROUGE-1 of $0.9999_{\\pm 0.03}$.")

    assert (found.text, found.same) == ("0.9999", None)


def test_a_bound_is_known_where_bounds_stand_and_doubted_elsewhere():
    """In brackets, after a dash; alone it is a wrong score."""
    value = TABLE["t5.none", "bleu"]
    low, high = f"{value - 0.031:.4f}", f"{value + 0.027:.4f}"
    for text in (f"[{low}, {high}]", f"{low}--{high}", f"between {low} and {high}",
                 f"\\numrange{{{low}}}{{{high}}}", f"an interval of {low} to {high}"):  # fmt: skip
        found = read(f"T5 with No Prompt has a BLEU of {text}.")
        assert [t.same.macro for t in found if t.same] == ["\\resci{t5.none.bleu}"] * 2
        assert not any(t.doubt for t in found)
    alone = one(f"T5 with No Prompt has a BLEU of {low}.")
    assert alone.doubt == "it is a bound of an interval"
    assert alone.nearest is not None
    assert alone.nearest.key == "t5.none.bleu"


def test_nearest_to_a_score_that_is_none_is_a_score_and_not_a_difference():
    """A sentence that names two models speaks of their scores, unless it says by how much."""
    t5 = f"{TABLE['t5.prompt2', 'rouge1']:.4f}"
    says = f"ROUGE-1 is {t5} for T5, and 0.1234 for LLaMA."

    (wrong,) = [found.nearest for found in read(says) if found.same is None]

    assert wrong is not None
    assert wrong.rank == 0


@pytest.mark.parametrize(("wrong", "known"), [(0.0, True), (0.07, False)])
def test_ratios_of_two_scores_are_told(wrong: float, known: bool):
    """So many times, and so many percent more."""
    ratio = TABLE["flan.none", "bleu"] / TABLE["llama.none", "bleu"]
    says = "On BLEU, FLAN-T5 is {} LLaMA 3.1 8B Instruct with No Prompt."

    times = one(says.format(f"{ratio + wrong:.3f} times as high as"))
    more = one(says.format(f"{100 * abs(ratio - 1) + 3.3 * wrong:.2f}\\% higher than"))

    assert (times.same is not None) == known
    assert (more.same is not None and not more.doubt) == known
    if known and times.same is not None:
        assert times.same.key == "\\res{flan.none.bleu} / \\res{llama.none.bleu}"


# ---------------------------------------------------------------------------- of what it is


def test_the_digits_of_another_model_are_in_doubt():
    """Two numbers that were swapped are both right digits and wrong."""
    other = f"{TABLE['llama.none', 'rouge1']:.4f}"

    found = one(f"T5 reaches a ROUGE-1 of {other} with No Prompt.")

    assert found.same is not None
    assert found.same.key == "llama.none.rouge1"
    assert found.doubt == "the text names T5"
    assert found.nearest is not None
    assert found.nearest.key == "t5.none.rouge1"


def test_the_digits_of_another_column_or_prompt_are_in_doubt():
    """Where the sentence says of which it is; after ``without`` it may be either."""
    bleu, prompt2 = (TABLE["t5.none", "bleu"], TABLE["t5.prompt2", "rouge1"])

    assert one(f"The ROUGE-1 of T5 is {bleu:.4f}.").doubt == "the text names ROUGE-1"
    assert "another prompt" in one(f"With No Prompt T5 has a ROUGE-1 of {prompt2:.4f}.").doubt
    assert not one(f"No Prompt is worse than {prompt2:.4f}, the ROUGE-1 of T5.").doubt


def test_a_cell_is_of_its_row_and_its_head():
    """A number in a neighbour's row is in doubt."""
    t5, flan = (f"{TABLE[key, 'rouge1']:.4f}" for key in ("t5.none", "flan.none"))
    head = "\\begin{tabular}{lS} Model & {ROUGE-1} \\\\"

    right = read(f"{head} T5 & {t5} \\\\ FLAN-T5 & {flan} \\\\ \\end{{tabular}}")
    swapped = read(f"{head} T5 & {flan} \\\\ FLAN-T5 & {t5} \\\\ \\end{{tabular}}")

    assert [t.same.key for t in right if t.same] == ["t5.none.rouge1", "flan.none.rouge1"]
    assert [t.doubt for t in right] == ["", ""]
    assert [t.doubt for t in swapped] == ["the text names T5", "the text names FLAN-T5"]


def test_a_longer_name_hides_the_shorter_one_in_it():
    """T5 is not named by FLAN-T5; nor is 3.1 a number in LLaMA 3.1 8B Instruct."""
    t5 = f"{TABLE['t5.none', 'rouge1']:.4f}"

    assert one(f"FLAN-T5 has a ROUGE-1 of {t5}.").doubt == "the text names FLAN-T5"
    assert read("LLaMA 3.1 8B Instruct and T5 are compared on ROUGE-1.") == ()


def test_a_number_of_a_subset_takes_its_name():
    """Its digits elsewhere are in doubt."""
    key = "t5.none.rouge1@topic=work"
    evidence = Evidence("a run", SUBJECTS, MEASURES, {})
    shelf = citables_of_run([result(key, "score", ROUGE, 0.4321, None)], evidence)

    assert not one("On work, T5 has a ROUGE-1 of 0.4321.", shelf).doubt
    assert "subset" in one("T5 has a ROUGE-1 of 0.4321.", shelf).doubt


def test_a_contrast_is_known_by_its_label_and_its_sides():
    """It is no pair of conditions."""
    evidence = Evidence("a run", SUBJECTS, MEASURES, {})
    contrast = result("contrast.tuning.rouge1", "contrast", ROUGE, 0.1234, 0.012)
    sides = {"tuning": ("Instruction tuning", ("flan.none", "t5.none"))}
    shelf = citables_of_run([contrast], evidence, sides)

    for text in ("Instruction tuning adds 0.1234 ROUGE-1.", "FLAN-T5 beats T5 by 0.1234."):
        assert one(text, shelf).named
    assert one("Instruction tuning helps ($p=0.012$).", shelf).same is not None
    assert one("Instruction tuning helps ($p=0.021$).", shelf).same is None


def test_all_of_it_is_told_in_words_and_counts_as_doubt():
    """The scale, half a width, whose digits they are, what the text names, and what is nearest."""
    t5, flan = (TABLE[key, "rouge1"] for key in ("t5.none", "flan.none"))
    text = (
        f"With No Prompt, T5 has a ROUGE-1 of ${100 * t5:.2f}_{{\\pm 2.90}}$.\n\n"
        f"With No Prompt, T5 has a ROUGE-1 of {flan:.4f}.\n\n"
        "T5 has a ROUGE-1 of 0.9999 ($p=0.011$)."
    )
    found = Findings("a run", "Holm", "", (), typed=read(text), files=("a.tex",))

    shown = show.text(found, 200)

    assert "5, of which 2 match no result, 1 doubtful" in shown
    assert f"is 100 x \\res{{t5.none.rouge1}} ({t5:.4f})" in shown
    assert "2.90 is half the width of \\resci{t5.none.rouge1} (0.0290)" in shown
    assert (
        f"{flan:.4f} has the digits of \\res{{flan.none.rouge1}}, but the text names T5; the "
        f"nearest of that is {t5:.4f}, \\res{{t5.none.rouge1}}"
    ) in shown
    assert "0.9999 matches no result; the nearest is" in shown
    assert "p = 0.011 matches no result; the nearest is 0.500, \\resp{" in shown
    assert found.exit_code(strict=True) == DOES_NOT_HOLD
    sound = Findings("a run", "Holm", "", (), typed=found.typed[:2], files=("a.tex",))
    assert sound.exit_code(strict=True) == HOLDS


# ---------------------------------------------------------------------------- p beside its test

TESTED = citables(TABLE, {("flan.none", "t5.none"): 0.0004, ("flan.prompt2", "t5.prompt2"): 0.0004,
                          ("flan.none", "t5.prompt2"): 0.0004, ("t5.none", "flan.prompt2"): 0.0004,
                          ("llama.none", "t5.none"): 0.0321})  # fmt: skip
BEAT = "FLAN-T5 beats T5 on ROUGE-1 ({})."
DIFFER = "LLaMA with No Prompt differs from T5 with No Prompt on ROUGE-1 ({})."


@pytest.mark.parametrize(
    ("says", "typed", "right"),
    [
        (BEAT, "$p < 0.001$", True),
        (BEAT, "$p<.001$", True),
        (BEAT, "p-value below 0.001", True),
        (BEAT, "$p \\leq 10^{-3}$", True),
        (BEAT, "\\textit{p} $<$ 0.05", True),
        (BEAT, "$p_{\\mathrm{Holm}} < 0.01$", True),
        (BEAT, "$p = 4\\times10^{-4}$", True),
        (BEAT, "$p < 0.0001$", False),
        (BEAT, "$p = 0.03$", False),
        (BEAT, "$p > 0.05$", False),
        (BEAT, "a p of 0.2", False),
        (DIFFER, "$p=0.032$", True),
        (DIFFER, "$P = .03$", True),
        (DIFFER, "$p<0.05$", True),
        (DIFFER, "$p=0.023$", False),
        (DIFFER, "$p<0.01$", False),
    ],
)
def test_a_typed_p_is_that_of_the_test_of_which_its_sentence_speaks(
    says: str, typed: str, right: bool
):
    """Equal to it, or on the right side of the bound."""
    found = one(says.format(typed), TESTED)

    assert (found.same is not None) == right
    cited = found.same or found.nearest
    assert cited is not None
    assert cited.command == "resp"
    assert cited.key.endswith(".rouge1")
    assert not cited.key.startswith("llama") or says == DIFFER


def test_a_p_on_a_column_without_tests_is_no_result():
    """The report tests nothing of that."""
    shelf = tuple(c for c in TESTED if c.command != "resp" or ".words" not in c.key)

    found = one("FLAN-T5 beats T5. It differs with $p < 0.001$ on Words.", shelf)

    assert (found.same, found.nearest) == (None, None)


def test_a_level_that_is_declared_is_no_p():
    """Its sentence names nothing."""
    text = "We take $p < 0.05$ as significant; * $p<.05$, ** $p < 0.01$, $\\alpha = 0.05$."

    assert read(text, TESTED) == ()


def test_in_a_table_a_column_of_p_holds_p():
    """Whatever its head adds to the letter."""
    text = ("\\begin{tabular}{lrr} ROUGE-1 & Difference & $p$ \\\\ FLAN-T5 and T5 & x & $<$ 0.001 "
            "\\\\ LLaMA and T5 & x & 0.9 \\\\ \\end{tabular}")  # fmt: skip

    right, wrong = read(text, TESTED)

    assert right.same is not None
    assert wrong.same is None
    assert wrong.text == "p = 0.9"


# ---------------------------------------------------------------------------- bounds in words


@pytest.mark.parametrize(("bound", "told"), [("0.01", False), ("0.99", True)])
def test_a_bound_that_nothing_keeps_is_told(bound: str, told: bool):
    """Where column and model are named; else it is for a claim."""
    found = read(f"The BLEU of T5 is above {bound}.")

    assert [t.text for t in found] == ([f"> {bound}"] if told else [])
    assert read(f"It is above {bound}.") == ()


# ---------------------------------------------------------------------------- what is no result

ORDINARY = r"""
\documentclass[11pt]{article}\usepackage[margin=2.54cm]{geometry}
\title{Empathy in 2024} \date{2024.11.05} \begin{document}
% 0.1234 in a comment
In 2023 and 2024, 1 in 5 adults \citep[p.~3.14]{who2022} met a disorder \cite{a2.50}; in 2019.12
we began.
We use LLaMA 3.1 8B Instruct, GPT-3.5, Qwen 2.5, FLAN-T5 and SmolLM2-1.7B (Python 3.11, PyTorch
2.10.1, v0.25).
The corpus has 3,512 questions and 1\,234\,567 tokens; 80\% for training, 12.5\% validation and
7.5\% test rows.
Training took 2.25 hours on one GPU with 79.15 GB, \SI{3.75}{\hour} in all, or
\qty{1.25}{\kilo\watt\hour}, at \$3.50.
The learning rate is $2\times10^{-4}$ (or 0.0002), dropout 0.05, weight decay of 0.01, $\beta_2 =
0.999$,
temperature 0.75, top-$p$ 0.95, a warm-up of 0.03, $\alpha=0.05$ and a threshold of 0.85.
See Section 3.2, Section~4.10, \S5.12, Table 2.15, Figure 1.25, Eq.~3.12, and Appendix A.11.
Intervals are 95\% confidence intervals; 99.5\% CIs are wider. We took $p < 0.05$ as significant.
\begin{figure}\includegraphics[width=0.85\textwidth]{fig0.25.pdf}\vspace{-0.25em}\end{figure}
\begin{equation} L = 0.25 L_1 + 0.125 L_2 \end{equation} \[ x^{0.75} \] and $F_{0.5}$, $x^{0.25}$.
Licensed under CC BY 4.0, arXiv 2409.02244, doi 10.18653/v1/2024.acl.128, \url{http://x.org/0.25}.
Raters were 25.50 years old, and each of 12 experts read 48 answers: 576 in all, a subset of 10\%.
Generation is 1.75$\times$ faster, uses 2.50 times less memory and takes 0.85 s, 35.25~ms, or
1.5--2.5 minutes.
The model has 8.03 billion parameters, 8.03B for short; 0.25 mm, 2.5 km, 12.75 kg, 3.25 GHz.
\begin{tabular}{lr} Layers & 32 \\ Heads & 12 \\[0.25ex] Size & 8.03B \\ \end{tabular}
Of 100 users, 3 of 10 or 42 agreed; the first 1,000 rows, ids 0-999, seeds 0, 1 and 2, n = 32,
$k=5$.
\begin{verbatim} 0.1111 \end{verbatim} \iffalse 0.2222 \fi \definecolor{x}{rgb}{0.12,0.34,0.56}
An appointment at 10:30, on 12.05.2024, by 192.168.10.25. Scores lie in [0,1] or between 0.0 and
1.0.
\end{document} 0.4444
"""


def test_the_ordinary_numbers_of_a_paper_are_none():
    """Some hundred of them: years, counts, sections, settings, quantities, versions, money."""
    found = read(ORDINARY)

    assert [(t.place.line, t.text) for t in found] == []


def test_what_is_displayed_as_the_outcome_of_a_formula_is_looked_at():
    """Its coefficients are not."""
    text = "T5: \\begin{equation} x = 0.25 y + 0.1234 z = 0.9982 \\end{equation}"

    assert [t.text for t in read(text)] == ["0.9982"]


def test_macros_that_are_never_used_are_looked_at_where_they_are_defined():
    """A file of numbers is checked as it is; used ones are checked at each use."""
    unused = "\\newcommand{\\a}{0.9979}\n"
    used = unused + "\n\\a and \\a, but \\ab"

    assert [(t.place.line, t.text) for t in read(unused)] == [(1, "0.9979")]
    assert [(t.place.line, t.text) for t in read(used)] == [(3, "0.9979")] * 2


def test_macros_of_another_file_are_known():
    """As LaTeX knows them."""
    files = (scan("\\newcommand{\\a}{0.9979}", "numbers.tex"), scan("We get \\a.", "main.tex"))

    (found,) = find(Manuscript(files, ()), SHELF)

    assert (str(found.place), found.text) == ("main.tex:1", "0.9979")


@pytest.mark.parametrize(
    "text",
    ["{" * 3000, "0.5 $" + "~ " * 3000, "9" * 4000, "p " * 3000, "0.25" + "\\, " * 2000,
     "\\newcommand\\a{\\a 0.25}\\a", "\\SI{0.25", "\\begin{tabular}{l}" + "& " * 2000,
     "$" * 2000 + "0.25", "1,234" * 800, "\\num{" * 500, "0,25 " * 500, "_{" * 800 + "0.25"],
)  # fmt: skip
def test_odd_texts_are_read_in_no_time(text: str):
    """Nothing that an author can type takes longer with its square, or ends in an error."""
    begun = time.process_time()
    read(text)

    assert time.process_time() - begun < 10
