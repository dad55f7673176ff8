r"""Claims in files and in comments; numbers typed by hand; labels; what ``\input`` may reach."""

from pathlib import Path

import pytest

from empathy_core.errors import DataError
from empathy_core.types import Column
from reports.claims import manuscript
from reports.claims.citable_numbers import Citable
from reports.claims.citables import citables_of_published
from reports.claims.claim_files import Claims, read_comments, read_toml
from reports.claims.evidence import Evidence, Measure, Score, Subject
from reports.claims.manuscript import Manuscript, scan
from reports.claims.prose import numbers
from reports.claims.typed_numbers import Typed, find

# ---------------------------------------------------------------------------- a file of claims


def read(folder: Path, text: str) -> Claims:
    """Return what stands in a file of claims."""
    path = folder / "claims.toml"
    path.write_text(text, encoding="utf-8")
    return read_toml(path, "claims.toml")


def test_a_claim_knows_its_line_its_quotes_and_its_section(tmp_path: Path):
    """Quotes may be one or several; names of the author's own stand beside."""
    found = read(
        tmp_path,
        '[names]\nours = "a.b"\n\n[[claims]]\nquote = "x"\nsays = "A > B on m"\n\n'
        '[[ claims ]]\nsays = """\nA < B on m"""\nquote = ["y", "z"]\nwhere = "section 4"\n',
    )

    assert not found.problems
    assert [(str(c.place), c.quotes, c.where) for c in found.claims] == [
        ("claims.toml:6", ("x",), ""),
        ("claims.toml:9", ("y", "z"), "section 4"),
    ]
    assert found.aliases == {"ours": "a.b"}


def test_claims_in_one_line_have_no_line(tmp_path: Path):
    """What line it is cannot be told surely, so none is told."""
    found = read(tmp_path, 'claims = [{ says = "A > B on m" }, { says = "A < B on m" }]')

    assert [str(c.place) for c in found.claims] == ["claims.toml"] * 2


def test_all_mistakes_of_a_file_are_told_at_once_and_the_rest_is_kept(tmp_path: Path):
    """Each with its line and the nearest key."""
    found = read(
        tmp_path,
        'naems = 1\n[[claims]]\nsay = "A > B on m"\n[[claims]]\nsays = "A < B on m"\n'
        "[[claims]]\nsays = 3\nquote = 4\n",
    )

    assert [c.says for c in found.claims] == ["A < B on m"]
    told = {str(p.place): p.message for p in found.problems}
    assert set(told) == {"claims.toml", "claims.toml:2", "claims.toml:7"}
    assert "unknown key 'naems'. Did you mean 'names'?" in told["claims.toml"]
    assert [p.message for p in found.problems if p.place.line == 2] == [
        'a claim needs says = "…"',
        "unknown key 'say'. Did you mean 'says'? Known: says, quote, where",
    ]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[[claims]\nsays = 1", "is not TOML"),
        ("", "holds no claim"),
        ("claims = 3", "holds no claim"),
        ('[[claims]]\nsays = "A > B on m"\n[names]\nours = 3', "must be a table of texts"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_problem(tmp_path: Path, text: str, match: str):
    """And not an exception: other files are read all the same."""
    assert any(match in p.message for p in read(tmp_path, text).problems)


def test_a_byte_order_mark_before_the_claims_is_no_problem(tmp_path: Path):
    """Editors on Windows write one; lines are counted as without."""
    found = read(tmp_path, "\ufeff[[claims]]\nsays = 'A > B on m'\n")

    assert not found.problems
    assert [(claim.says, claim.place.line) for claim in found.claims] == [("A > B on m", 2)]


def test_a_file_that_is_not_there_or_no_text_is_a_problem(tmp_path: Path):
    """With the reason."""
    (tmp_path / "latin.toml").write_bytes(b"says = '\xe9'")

    assert "No such file" in read_toml(tmp_path / "none.toml").problems[0].message
    assert "not UTF-8" in read_toml(tmp_path / "latin.toml").problems[0].message


# ---------------------------------------------------------------------------- comments


def paper(folder: Path, text: str, **others: str) -> Manuscript:
    """Return a document; *others* are files beside it, a double underscore being a folder."""
    for name, content in others.items():
        path = folder / f"{name.replace('__', '/')}.tex"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (folder / "main.tex").write_text(text, encoding="utf-8")
    return manuscript.read(folder / "main.tex")


def test_a_comment_is_about_the_text_before_it(tmp_path: Path):
    """On its own line, or the line above, blank lines left aside."""
    found = read_comments(
        paper(
            tmp_path,
            "LLaMA is best.  % claim: A > B on m\n"
            "T5 is at 5\\% here.\n\n"
            "  %% Claim:  T5 < B on m\n"
            "\\verb|% claim: no| and \\begin{verbatim}\n% claim: no\n\\end{verbatim}\n"
            "% claims: name Ours = llama.prompt2\n"
            "A line break \\\\% claim: C > D on m\n",
        )
    )

    assert not found.problems
    assert [(c.says, c.place.line, c.quotes) for c in found.claims] == [
        ("A > B on m", 1, ("LLaMA is best.",)),
        ("T5 < B on m", 4, ("T5 is at 5\\% here.",)),
        ("C > D on m", 9, ("A line break \\\\",)),
    ]
    assert found.aliases == {"Ours": "llama.prompt2"}


@pytest.mark.parametrize("comment", ["claims: A > B on m", "claim:", "claims: ignroe", "claims:"])
def test_a_comment_that_is_nearly_ours_is_told(tmp_path: Path, comment: str):
    """It would be lost in silence otherwise."""
    found = read_comments(paper(tmp_path, f"text\n% {comment}\n"))

    assert [p.place.line for p in found.problems] == [2]
    assert "% claims: ignore" in found.problems[0].message


def test_other_comments_are_none_of_ours(tmp_path: Path):
    """Nor is a percent sign in the text."""
    found = read_comments(paper(tmp_path, "5\\% claim: x\n% todo: claim more\n%\n% a claim\n"))

    assert found == Claims(())


# ---------------------------------------------------------------------------- files, labels


def test_inputs_are_followed_below_the_folder_and_never_out_of_it(tmp_path: Path):
    """With or without ending and braces, once, in circles too; what is not there is told."""
    (tmp_path / "secret.tex").write_text("0.9999 % claim: A > B on m", encoding="utf-8")
    folder = tmp_path / "paper"
    folder.mkdir()
    (folder / "link.tex").symlink_to(tmp_path / "secret.tex")
    found = paper(
        folder,
        "\\input{parts/one}\n\\input parts/two.tex\n\\include{../secret}\n\\input{link}\n"
        "\\input{gone}\n% \\input{commented}\n\\newcommand{\\x}[1]{\\input{#1}}\n",
        parts__one="one 0.1111\\input{main}\\input{parts/two}",
        parts__two="two 0.2222",
    )

    assert [Path(f.name).relative_to(folder).as_posix() for f in found.files] == [
        "main.tex", "parts/one.tex", "parts/two.tex"
    ]  # fmt: skip
    assert not read_comments(found).claims
    told = [w.partition("main.tex:")[2] for w in found.warnings]
    assert [w.split()[0] for w in told] == ["3:", "4:", "5:"]
    assert ["lies outside" in w for w in told] == [True, True, False]
    assert "gone is not there" in told[2]


def test_a_document_that_cannot_be_read_is_an_error(tmp_path: Path):
    """There is nothing to check."""
    with pytest.raises(DataError, match="No such file"):
        manuscript.read(tmp_path / "none.tex")


def test_a_label_that_stands_twice_is_told_with_both_places(tmp_path: Path):
    """In whatever file; not in comments."""
    found = paper(
        tmp_path,
        "\\label{tab:main}\\label{b}\n% \\label{b}\n\\input{table1}",
        table1="% Written by `report`; not meant to be edited.\n\\label{tab:main}",
    )

    assert len(found.warnings) == 1
    assert "\\label{tab:main} is used 2 times" in found.warnings[0]
    assert "main.tex:1" in found.warnings[0]
    assert "table1.tex:2" in found.warnings[0]


# ---------------------------------------------------------------------------- typed numbers

RESULTS = (
    "0.2675",
    ".0139",
    "$0.2675$",
    "$-0.0127$",
    "\\textbf{0.2675}",
    "\\textcolor{red}{0.2675}",
    "(0.2675)",
    "0.21--0.25",
    "0.21-0.25",
    "[0.21, 0.25]",
    "26.75\\%",
    "75\\%",
    "12.5 \\%",
    "p = 0.032",
    "\\num{0.2675}",
    "\\href{http://x.org/1.25}{0.2675}",
    "a & 0.2675 & 0.0139 \\\\",
    "ROUGE-1 of 0.2675.",
    "\\caption[Short.]{Of 0.2675}",
)
NO_RESULTS = (
    "0.5",
    "3 of 12",
    "\\res{a.b} \\resci{a.0.25}",
    "\\includegraphics[width=0.85\\textwidth]{fig0.25.pdf}",
    "\\vspace{0.25em} \\hspace*{1.25cm}",
    "\\setlength{\\tabcolsep}{4.55pt}",
    "\\begin{minipage}{0.48\\linewidth}",
    "\\begin{tabular}{p{0.25\\textwidth}r}",
    "\\begin{spacing}{1.25}",
    "\\resizebox{0.95\\linewidth}{!}{x}",
    "\\scalebox{0.85}{x}",
    "\\renewcommand{\\arraystretch}{1.25}",
    "\\definecolor{ours}{rgb}{0.12,0.34,0.56}",
    "\\\\[0.25ex]",
    "\\cite[p.~0.25]{chen2024} \\citep{x0.25}",
    "\\label{tab:0.25} \\ref{tab:0.25}",
    "\\url{http://x.org/0.25}",
    "arXiv 2409.02244, doi 10.18653/v1/2024.acl.128",
    "\\begin{equation} x = 0.25 \\end{equation}",
    "\\[ x = 0.25 \\] and $$ y = 0.25 $$",
    "\\begin{tikzpicture}\\draw (0.25,0.75);\\end{tikzpicture}",
    "\\begin{thebibliography}{9}\\bibitem{a} 0.25\\end{thebibliography}",
    "\\verb|0.25| \\begin{lstlisting}0.25\\end{lstlisting}",
    "% 0.25",
    "0.25 % claims: ignore",
    "version 3.11, PyTorch 2.10, v0.25, torch==2.61",
    "Section~4.10, \\S4.12, Table 2.15, Eq.~3.12",
    "12.05.2024, 2024.11, 1.2.34",
    "$p < 0.05$, $p \\leq 0.01$, $\\alpha = 0.05$",
    "95\\% confidence, a 95\\%~CI",
    "\\$3.50, 1.25 hours, 14.96 GB, 0.75~s, 1.75$\\times$, 8.03B, 1,234.56 tokens",
)


def found_in(text: str) -> list[str]:
    """Return the numbers of a text, as typed."""
    return [n.digits.text for n in numbers(scan(text, "a.tex"))]


def looked_at(text: str) -> list[str]:
    """Return the numbers of a text that are looked at where no word of it names anything."""
    return [t.text for t in find(Manuscript((scan(text, "a.tex"),), ()), ())]


@pytest.mark.parametrize("text", RESULTS)
def test_what_looks_like_a_result_is_found(text: str):
    """Alone, and between other lines."""
    found = found_in(text)

    assert found
    assert found_in(f"\\section{{A}}\n{text}\nThe end.") == found


@pytest.mark.parametrize("text", NO_RESULTS)
def test_what_is_no_result_is_not_found(text: str):
    """And what follows it is."""
    assert looked_at(text) == []
    assert looked_at(f"{text}\nLLaMA has 0.2675.") == ["0.2675"]


def test_what_the_suite_wrote_is_left_out(tmp_path: Path):
    """A fragment that is included, and one that was pasted; not what follows it."""
    marker = "% Needs \\usepackage{booktabs}. Written by `report`; not meant to be edited.\n"
    pasted = f"{marker}\\begin{{table*}} 0.25 & 0.75 \\end{{table*}}\n"
    found = paper(tmp_path, f"\n\n\n\n\n0.11\n{pasted}0.22\n\\input{{table1}}", table1=pasted)

    assert [n.digits.text for f in found.files for n in numbers(f)] == ["0.11", "0.22"]


# ---------------------------------------------------------------------------- which result

COLUMNS = (Column("bleu", "BLEU"), Column("rouge1", "ROUGE-1"),
           Column("empty", "Empty", decimals=1, percent=True))  # fmt: skip
VALUES = {"llama.none": (0.0113, 0.2167, 0.031), "llama.prompt2": (0.0139, 0.2675, 0.002),
          "t5.none": (0.0015, 0.0914, 0.75)}  # fmt: skip
MODELS = {"llama": ("llama", "LLaMA 3.1 8B Instruct"), "t5": ("t5", "T5")}
PROMPTS = {"none": ("none", "No Prompt"), "prompt2": ("prompt2", "Prompt 2")}


def shelf() -> tuple[Citable, ...]:
    """Return the scores of three conditions."""
    subjects = [
        Subject(key, MODELS[model], PROMPTS[prompt], model)
        for key in VALUES
        for model, prompt in [key.split(".")]
    ]
    scores = {
        (key, column.name): Score(value)
        for key, values in VALUES.items()
        for column, value in zip(COLUMNS, values, strict=True)
    }
    measures = tuple(Measure(c.name, c) for c in COLUMNS)
    return citables_of_published(Evidence("a table", tuple(subjects), measures, scores))


def typed(folder: Path, text: str) -> Typed:
    """Return what is found of the one number of a text."""
    (found,) = find(paper(folder, text), shelf())
    return found


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("LLaMA reaches 0.2675.", "llama.prompt2.rouge1"),
        ("LLaMA reaches 0.27.", "llama.prompt2.rouge1"),
        ("0.0139", "llama.prompt2.bleu"),
        ("a BLEU of 0.01 for LLaMA with Prompt 2", "llama.prompt2.bleu"),
        ("a BLEU of 0.01 for LLaMA with No Prompt", "llama.none.bleu"),
        ("3.1\\% are empty", "llama.none.empty"),
        ("75\\% are empty", "t5.none.empty"),
        ("a ROUGE-1 of 26.75\\%", "llama.prompt2.rouge1"),
    ],
)
def test_a_typed_number_is_the_result_of_which_its_words_speak(tmp_path: Path, text: str, key: str):
    """Any rounding will do; where several results round to it, the words decide."""
    found = typed(tmp_path, text)

    assert found.same is not None
    assert found.same.key == key
    assert found.nearest is None


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("LLaMA reaches a ROUGE-1 of 0.2657 with Prompt 2.", "llama.prompt2.rouge1", "0.2675"),
        ("T5 has a BLEU of 0.0051.", "t5.none.bleu", "0.0015"),
        ("LLaMA: a BLEU of 0.0193 and a ROUGE-1 as above.", "llama.prompt2.bleu", "0.0139"),
        ("LLaMA has no ROUGE-1 worth naming; its BLEU is 0.0193.", "llama.prompt2.bleu", "0.0139"),
        ("0.2671", "llama.prompt2.rouge1", "0.2675"),
        ("LLaMA: 27\\%", "llama.prompt2.rouge1", "0.2675"),
    ],
)
def test_a_number_that_is_no_result_is_told_with_the_nearest(
    tmp_path: Path, text: str, key: str, says: str
):
    """A slip of the finger: the result that the words speak of."""
    found = typed(tmp_path, text)

    assert found.same is None
    assert found.nearest is not None
    assert (found.nearest.key, found.nearest.text) == (key, says)


def test_digits_of_which_no_word_speaks_may_be_chance(tmp_path: Path):
    """That is told, so that nobody replaces a learning rate by a score."""
    assert not typed(tmp_path, "A value of 0.0015.").named
    assert typed(tmp_path, "T5: 0.0015.").named


def test_a_run_without_results_has_no_nearest(tmp_path: Path):
    """Nothing to compare with is no reason to fail."""
    (found,) = find(paper(tmp_path, "0.25"), ())

    assert (found.same, found.nearest) == (None, None)
