"""What shows nothing is empty for everything that asks; what shows something is read as it is."""

import unicodedata

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import corpus_bleu
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_char import TokenizerChar
from sacrebleu.tokenizers.tokenizer_intl import TokenizerV14International
from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

from empathy_core import metrics
from empathy_core.errors import ConfigError
from empathy_core.metrics import bleu, rouge
from empathy_core.visible import as_read, n_words, nothing_visible
from tests.metric_rows import frame, measured

INVISIBLE = (
    " ", "\u00a0", "\u3000", "\u2028", "\x00", "\x1f", "\x85", "\u00ad", "\u034f", "\u061c",
    "\u115f", "\u1160", "\u17b4", "\u180e", "\u200b", "\u200c", "\u200d", "\u200e", "\u202e",
    "\u2060", "\u2066", "\u206a", "\u2800", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\ufff9",
    "\U000e0041", "\U000e0100",
)  # fmt: skip
SPECIAL = ("[SEP]", "</s>", "<|im_end|>", "<pad>", "<extra_id_0>", "</assistant>", "[INST]")
VISIBLE = (
    "a", ".", "\ufffd", "\u0600", "\u0301", "\U0001f600", "\u5fc3", "\u0627", "a\u200db",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u0645\u06cc\u200c\u0631\u0648\u0645",
    "<b>", "[sic]", "</s> yes", "Rest <|im_end|>",
)  # fmt: skip
EMOJI = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
TOKENIZERS = {
    "13a": Tokenizer13a, "intl": TokenizerV14International, "zh": TokenizerZh,
    "char": TokenizerChar,
}  # fmt: skip
ZH = ("我听到你很累\uff0c这很难。", "我听到你今天很累\uff0c休息一下吧。")
AR = ("أسمع كم أنت متعب من كل هذا اليوم", "أسمع كم أنت متعب من هذا العمل كل يوم")
OVERLAP = ("bleu", "rouge")
PURE = ("bleu", "rouge", "length", "diagnostics")
blanks = st.lists(st.sampled_from(INVISIBLE + SPECIAL), max_size=6).map("".join)
texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=40)


# ---------------------------------------------------------------------------- the definition


@pytest.mark.parametrize("text", ["", *INVISIBLE, *SPECIAL, "".join(INVISIBLE), " ".join(SPECIAL)])
def test_what_a_reader_cannot_see_is_nothing(text: str) -> None:
    """White space, controls, joiners, direction marks, fillers, special tokens; any mixture."""
    assert nothing_visible(text)
    assert as_read(text) == ""
    assert n_words(text) == 0


@pytest.mark.parametrize("text", VISIBLE)
def test_what_a_reader_sees_is_not_nothing(text: str) -> None:
    """Joiners inside a word or an emoji stay in what metrics read."""
    assert not nothing_visible(text)
    assert as_read(text) == unicodedata.normalize("NFC", text)
    assert n_words(text) == len(text.split())


def test_the_definition_is_unicodes() -> None:
    """Every character, by the standard library's categories and another property list."""
    ignorable = regex.compile(r"\p{Default_Ignorable_Code_Point}")
    seen_formats = regex.compile(r"\p{Prepended_Concatenation_Mark}")
    for code in range(0x110000):
        sign = chr(code)
        kind = unicodedata.category(sign)
        if kind == "Cn":
            continue  # other tables may be of a later Unicode, which assigns it
        nothing = (
            kind in ("Cc", "Zs", "Zl", "Zp")
            or (kind == "Cf" and not seen_formats.match(sign))
            or bool(ignorable.match(sign))
            or sign in "\u2800\u2581"
        )
        assert nothing_visible(sign) == nothing, f"U+{code:04X}"


def test_long_texts_are_told_in_no_time() -> None:
    """No pattern goes back over what it has read."""
    assert nothing_visible("\u200b " * 100_000)
    assert not nothing_visible("\u200b " * 100_000 + "x")
    assert n_words("\u200bword " * 50_000) == 50_000


@settings(max_examples=200)
@given(texts)
def test_invisible_signs_make_no_words(text: str) -> None:
    """A zero-width space alone between blanks is no word, within a word it splits none."""
    words = [w for w in text.split() if not all(nothing_visible(c) for c in w)]
    if not nothing_visible(text) and "\u2581" not in text:
        assert n_words(text) == len(words)
        assert n_words(f"\u200b {text} \ufeff") == len(words)


# ---------------------------------------------------------------------------- metrics


@settings(max_examples=150, deadline=None)
@given(blank=blanks, reference=texts)
def test_an_invisible_answer_is_an_empty_one_under_every_metric(blank: str, reference: str) -> None:
    """Statistics are equal, but that diagnostics tell special tokens."""
    for name in PURE:
        metric = metrics.load(name, {})
        blank_row, empty = measured(metric, frame([blank, ""], [reference] * 2))
        differing = {
            of
            for of, one, other in zip(metric.statistics, blank_row, empty, strict=True)
            if not (one == other or (np.isnan(one) and np.isnan(other)))
        }
        assert differing <= {"special_tokens"}, name


@settings(max_examples=300, deadline=None)
@given(text=texts, tokenizer=st.sampled_from(["rouge_score", *TOKENIZERS]))
def test_an_answer_equal_to_its_reference_scores_1_or_is_counted(text: str, tokenizer: str) -> None:
    """Whatever the script: never 0, and never without a word about it."""
    rows = frame([text, unicodedata.normalize("NFD", text)], [text] * 2)
    rouges = rouge.Metric(tokenizer=tokenizer)
    found = measured(rouges, rows)
    for row in found:
        scores = rouges.score(row)
        assert (np.isnan(scores) | (np.abs(scores - 1) < 1e-12)).all()
        if not np.isnan(row).any() and np.isnan(scores).any():
            assert any("ROUGE-2" in r.text and r.n == 1 for r in rouges.remarks(row))
    if tokenizer == "rouge_score":
        return
    bleus = bleu.Metric(tokenizer=tokenizer)
    for row in measured(bleus, rows):
        score = bleus.score(row)[0]
        assert np.isnan(score) or abs(score - 1) < 1e-12
        if not np.isnan(row).any() and np.isnan(score):
            assert any("fewer than 4 tokens" in r.text and r.n == 1 for r in bleus.remarks(row))


@settings(max_examples=200, deadline=None)
@given(text=texts, reference=texts, name=st.sampled_from(OVERLAP))
def test_no_answer_loses_its_row(text: str, reference: str, name: str) -> None:
    """Only the reference decides whether there is a score: no condition gains by failing."""
    metric = metrics.load(name, {})
    found = np.isnan(metric.score(measured(metric, frame([text, "", reference], [reference] * 3))))
    assert (found[0, 0], found[0, -1]) == (found[1, 0], found[1, -1]) == (found[2, 0], found[2, -1])


@pytest.mark.parametrize(("text", "reference"), [ZH, AR, ("café naïve ça va", "Ça va, café?")])
def test_composed_or_not_is_one_text(text: str, reference: str) -> None:
    """NFD looks the same as NFC and scores the same, on either side."""
    one = frame([text], [reference])
    for form in ("NFC", "NFD"):
        other = frame(
            [unicodedata.normalize("NFD", text)], [unicodedata.normalize(form, reference)]
        )
        for name, options in (
            ("bleu", {}), ("bleu", {"tokenizer": "char"}), ("rouge", {}),
            ("rouge", {"tokenizer": "intl"}), ("length", {}), ("diagnostics", {}),
        ):  # fmt: skip
            metric = metrics.load(name, options)
            assert np.array_equal(measured(metric, one), measured(metric, other), equal_nan=True)


class _By:
    """A sacreBLEU tokenizer as rouge_score takes it."""

    def __init__(self, name: str) -> None:
        self._split = TOKENIZERS[name]()

    def tokenize(self, text: str) -> list[str]:
        """Split a text in lower case."""
        return self._split(text.lower()).split()


@pytest.mark.parametrize("tokenizer", list(TOKENIZERS))
@pytest.mark.parametrize(("text", "reference"), [ZH, AR, ("I'm 50% sure.", "I am 50 % Sure, yes")])
def test_other_tokenizers_give_the_libraries_values(
    text: str, reference: str, tokenizer: str
) -> None:
    """ROUGE is rouge_score's and BLEU sacreBLEU's with that tokenizer."""
    rows = frame([text], [reference])
    rouges, bleus = rouge.Metric(tokenizer=tokenizer), bleu.Metric(tokenizer=tokenizer)
    theirs = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=_By(tokenizer))
    expected = [score.fmeasure for score in theirs.score(reference, text).values()]
    got = rouges.score(measured(rouges, rows))[0, :3]
    np.testing.assert_allclose(got, np.where(np.isnan(got), np.nan, expected), rtol=0, atol=1e-12)
    assert not np.isnan(got[0])
    whole = corpus_bleu([text], [[reference]], smooth_method="none", tokenize=tokenizer)
    score = bleus.score(measured(bleus, rows))[0, 0]
    if whole.ref_len >= 4:
        assert score == pytest.approx(whole.score / 100, abs=1e-12)
    else:
        assert np.isnan(score)


def test_chinese_answers_are_scored_by_their_tokenizer() -> None:
    """Equal texts are 1, similar ones between; with rouge_score's tokenizer they are no 0."""
    rows = frame([ZH[0], ZH[0]], [ZH[0], ZH[1]])
    plain, chinese = rouge.Metric(), rouge.Metric(tokenizer="zh")
    assert np.isnan(measured(plain, rows)).all()
    assert "a-z, 0-9" in metrics.why_unscored(plain).text
    assert "metrics.rouge.tokenizer" in metrics.why_unscored(plain).advice
    equal, similar = chinese.score(measured(chinese, rows))[:, 0]
    assert equal == 1
    assert 0.5 < similar < 1
    statistics = measured(bleu.Metric(), rows).sum(axis=0)
    assert np.isnan(bleu.Metric().score(statistics)[0])
    said = {remark.text: remark for remark in bleu.Metric().remarks(statistics)}
    assert said["rows of scripts that its tokenizer (13a) is not made for"].n == 2
    assert all("metrics.bleu.tokenizer" in r.advice for t, r in said.items() if "scripts" in t)


def test_what_is_misread_is_told_with_what_to_set() -> None:
    """A number in an Arabic text is no reason for a score without a word."""
    metric = rouge.Metric()
    rows = frame(["امش 30 دقيقة كل يوم", "Walk 30 minutes.", "👍"], ["Walk 30 minutes."] * 3)
    told = metrics.remarks(metric, measured(metric, rows).sum(axis=0))
    assert [(r.n, "metrics.rouge.tokenizer" in r.advice) for r in told] == [
        (1, True),  # the emoji
        (1, False),  # 30 alone has no bigram
        (1, True),  # Arabic
    ]
    assert not metrics.remarks(metric, measured(metric, frame(["a b"], ["a b"])).sum(axis=0))


def test_rouge_2_is_the_mean_of_the_rows_that_have_bigrams() -> None:
    """An exact answer of one word is not 0; an answer that is too short for its reference is."""
    metric = rouge.Metric()
    statistics = measured(metric, frame(["Yes.", "a b", "a", ""], ["yes", "a b", "a b", "a b"]))
    scores = dict(zip([c.name for c in metric.columns], metric.score(statistics.sum(axis=0)),
                      strict=True))  # fmt: skip
    assert scores["rouge1"] == pytest.approx((1 + 1 + 2 / 3 + 0) / 4)
    assert scores["rouge2"] == pytest.approx((1 + 0 + 0) / 3)
    assert [r.text for r in metric.remarks(statistics.sum(axis=0))] == [
        "references of one token, left out of ROUGE-2 (no bigram)",
        "answers of one token (no bigram)",
    ]


def test_a_bleu_of_0_is_explained() -> None:
    """The order of the first n-gram without a match; a BLEU above 0 is not explained."""
    metric = bleu.Metric()

    def told(text: str) -> list[str]:
        found = measured(metric, frame([text], ["I hear how tired you are of it all."]))
        return [remark.text for remark in metric.remarks(found.sum(axis=0)) if remark.n is None]

    assert told("I hear you are tired.") == [
        "0.0000, since no 3-gram of the answers matches in the whole set"
    ]
    assert told("") == ["0.0000, since no 1-gram of the answers matches in the whole set"]
    assert told("I hear how tired you are.") == []


def test_plain_texts_have_the_scores_they_had() -> None:
    """ASCII needs no NFC: the counts of BLEU and ROUGE are those of the texts as they are."""
    rows = frame(["I hear how tired you are of it."], ["I hear how tired you are of it all."])
    expected = RougeScorer(["rouge1"]).score(rows["reference"][0], rows["text"][0])["rouge1"]
    assert measured(rouge.Metric(), rows)[0, 0] == expected.fmeasure
    texts, references = rows["text"].to_list(), rows["reference"].to_list()
    theirs = corpus_bleu(texts, [references], smooth_method="none")
    assert bleu.Metric().score(measured(bleu.Metric(), rows))[0, 0] == pytest.approx(
        theirs.score / 100, rel=1e-12
    )


def test_a_stemmer_for_another_tokenizer_is_refused() -> None:
    """It would be ignored without a word."""
    with pytest.raises(ConfigError, match="use_stemmer with tokenizer 'zh'"):
        metrics.load("rouge", {"use_stemmer": True, "tokenizer": "zh"})


def test_an_unknown_tokenizer_is_answered_with_the_known() -> None:
    """The message lists them."""
    with pytest.raises(ConfigError, match=r"tokenizer.*'13a', 'intl', 'zh', 'char', 'ja-mecab'"):
        metrics.load("bleu", {"tokenizer": "chinese"})


def test_an_emoji_keeps_its_joiners_in_what_metrics_read() -> None:
    """A family is one answer and no other emoji's."""
    metric = bleu.Metric(tokenizer="char")
    rows = frame([EMOJI, EMOJI.replace("\u200d", "")], [EMOJI] * 2)
    assert metric.score(measured(metric, rows))[0, 0] == 1
    assert metric.score(measured(metric, rows))[1, 0] < 1
