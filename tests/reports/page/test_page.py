"""The page as a file: what it holds, what it may do, and what it withholds."""

import base64
import hashlib
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pytest

from empathy_core.store import RunDir
from empathy_core.types import Condition, Decoding
from reports.build import build
from reports.latex import table as tex
from reports.page import examples as browser
from reports.page import html
from reports.rows.collect import collect
from reports.spec import ClusterUse, Commands, Intervals, Layout, ReportSpec, ResourceUse
from reports.write import write_report
from tests.pages import EVIL, Tags, examples_of, texts_of
from tests.paper_tables import named, paper_table
from tests.runs.by_hand import FLAN, HUMAN, LLAMA, LLAMA2, N_SHARDS, Toy, make, spec

GOLDEN = Path(__file__).parents[2] / "golden"


def page_of(run: RunDir, about: ReportSpec, *, partial: bool = False) -> str:
    """Write the report and return its page."""
    write_report(run, about, partial=partial)
    return (run.report / "index.html").read_text(encoding="utf-8")


# ---------------------------------------------------------------------------- tables


def test_the_html_of_the_papers_table_is_the_golden_one():
    """The paper's Table 1, from the values it prints, without the page around it."""
    page = html.table_page([paper_table()], "Table 1", "")
    figure = page[page.index("<figure") : page.index("</figure>") + len("</figure>\n")]

    assert figure == (GOLDEN / "table1.html").read_text()


def test_markup_in_names_is_shown_as_text():
    """Nothing that a name, caption or note holds becomes an element."""
    plain = Tags(html.table_page([named("plain")], "plain", ""))
    found = Tags(html.table_page([named(EVIL)], EVIL, ""))

    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert not [a for _, a in found.tags if any(name.startswith("on") for name in a)]
    assert "<img src=x onerror=window.hacked=1>" in "".join(found.text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a\u2400b"),
        ("a\x7f\x1bb", "a\u2421\u241bb"),
        ("a\x9f\ufffe\U0001ffffb", "a\ufffd\ufffd\ufffdb"),
        ("tab\tand\nline stay, as do é 🙂 سلام", "tab\tand\nline stay, as do é 🙂 سلام"),
    ],
)
def test_signs_that_html_may_not_hold_can_be_seen(text: str, shown: str):
    """What a parser would drop or refuse is shown by its picture."""
    assert html.visible(text) == shown
    assert shown in "".join(Tags(html.table_page([named(text)], "", "")).text)


def test_every_number_bears_its_key_and_its_value(tmp_path: Path):
    """Keys are those of results.csv, which explain and macros know; each stands there once."""
    about = spec(LLAMA, LLAMA2, HUMAN)
    run = make(tmp_path / "run", about)
    found = Tags(page_of(run, about))

    keys = [cell for cell in found.of("td") if "data-key" in cell]
    results = pl.read_csv(run.report / "results.csv")
    values = dict(results.select("key", "value").iter_rows())
    assert {cell["data-key"] for cell in keys} >= {
        "llama.prompt1.toy_overlap",
        "llama.prompt2.toy_words",
    }
    for cell in keys:
        assert cell["title"] == cell["data-key"]
        assert float(cell["data-value"] or "nan") == pytest.approx(
            values[cell["data-key"]], abs=1e-6
        )


def test_a_models_name_stands_in_each_of_its_rows():
    """Hidden but once, so that a row says whose it is when it is sorted away from its group."""
    table = paper_table()
    page = html.table_page([table], "", "")
    names = re.findall(r'<th class="stub model"[^>]*?( hidden)?>([^<]*)</th>', page)

    assert [name for _, name in names] == [g.label for g in table.groups for _ in g.rows]
    assert [not hidden for hidden, _ in names] == [
        i == 0 for g in table.groups for i in range(len(g.rows))
    ]


def _spelled(tex: str) -> str:
    """Return what a cell of LaTeX prints: marks and sizes taken away, signs as they look."""
    for pattern, sign in (
        (r"\\h?phantom\{[^{}]*\}|\\reportsecond\{[^{}]*\}|\$?\^?\\dagger\$?", ""),
        (r"\$-\$|(?<![\w-])-(?=[\d.])", "\N{MINUS SIGN}"),
        (r"\$\\pm\$", "\N{PLUS-MINUS SIGN}"),
        (r"\\textless", "<"),
        (r"(?<!-)--(?!-)", "\N{EN DASH}"),
        (r"\\%", "%"),
        (r"\\[A-Za-z]+|[{}$^]", ""),
    ):
        tex = re.sub(pattern, sign, tex)
    return "".join(tex.split())


def _latex_rows(fragment: str) -> list[str]:
    """Return what stands right of the stubs, a line each, blanks left out."""
    found = []
    for after in fragment.split(r"\reportrow{")[1:]:
        _, cells, below, *_ = _braced("{" + after)
        lines = (_spelled(re.sub(r"(?<!\\)&", "", part)) for part in (cells, below))
        found += [line for line in lines if line]
    return found


def _braced(text: str) -> list[str]:
    """Return the groups in braces that *text* begins with."""
    groups, depth, start = [], 0, 0
    for i, char in enumerate(text):
        if char == "{" and text[i - 1 : i] != "\\":
            depth, start = depth + 1, start if depth else i + 1
        elif char == "}" and text[i - 1 : i] != "\\":
            depth -= 1
            groups += [] if depth else [text[start:i]]
        elif not depth and not char.isspace():
            break
    return groups


def _html_rows(page: str, *, apart: bool) -> list[str]:
    """Return the same of a page; *apart*: intervals are a line of their own."""
    found = []
    for row in re.findall(
        r"<tr[^>]*>(?:(?!</tr>).)*<td.*?</tr>", page[page.index("</thead>") :], re.DOTALL
    ):
        cells = [
            (re.findall(r'class="n">([^<]*)<', cell)[0], *re.findall(r'interval">([^<]*)<', cell))
            for cell in re.findall(r"<td.*?</td>", row)
        ]
        if apart:
            lines = ["".join(n for n, *_ in cells), "".join(i for _, *more in cells for i in more)]
            found += [line for line in lines if line]
        else:
            found.append("".join("".join(cell) for cell in cells))
    return [unescape("".join(line.split())) for line in found]


@pytest.mark.parametrize("intervals", ["none", "brackets", "plusminus", "row"])
def test_latex_and_html_show_the_same_cell_by_cell(tmp_path: Path, intervals: Intervals):
    """In every table of a report, to the last digit, intervals included."""
    layout = Layout(intervals=intervals, environment="table*")
    about = spec(layout=layout, published="huang2024", metrics={"toy-00000000": Toy(unscored="w1")})
    run = make(tmp_path / "run", about)
    built = build(collect(run, about), about)
    compared = 0
    for table in (table for section in built.sections for table in section.tables):
        shown = _html_rows(html.table_page([table], "", ""), apart=intervals == "row")
        assert _latex_rows(tex.fragment([table])) == shown
        compared += len(shown) * len(table.heads)
    assert compared > 150


# ---------------------------------------------------------------------------- policy


def test_the_policy_names_the_style_and_the_script_and_allows_nothing_else():
    """By digest: what a text might smuggle in is neither applied nor run."""
    page = html.table_page([paper_table()], "Table 1", "")

    def digest(pattern: str) -> str:
        content = re.findall(pattern, page, flags=re.DOTALL)
        assert len(content) == 1
        return base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()

    style, script = digest("<style>(.*?)</style>"), digest('<script type="module">(.*?)</script>')
    policies = [a["content"] for a in Tags(page).of("meta") if "http-equiv" in a]
    assert policies == [
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    ]


@pytest.mark.fast
def test_a_page_refers_to_nothing_outside(tmp_path: Path):
    """No address of any file or site; links lead to places that the page has, each id once."""
    about = spec(LLAMA, FLAN, commands=Commands("a", "b", "c"))
    found = Tags(page_of(make(tmp_path / "run", about), about))

    assert not [a for _, a in found.tags if "style" in a or "action" in a]
    sources = [str(a["src"]) for _, a in found.tags if "src" in a]
    assert len(sources) == 2
    assert all(source.startswith("data:image/svg+xml,") for source in sources)
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a.get("href") or a.get("xlink:href") for _, a in found.tags} - {None, "data:,"}
    assert {str(target)[1:] for target in targets} <= set(ids)
    named_by = " ".join(str(a["aria-labelledby"]) for _, a in found.tags if "aria-labelledby" in a)
    assert set(named_by.split()) <= set(ids)


def test_a_figure_is_an_image_that_holds_its_words():
    """Its address has no sign of HTML, whatever a label holds, and gives the same figure back."""
    drawn = (
        '<svg>\n <text style="font: 7px \'A\'">a &lt;b&gt; "c" 100% #1 \N{SNOWMAN}</text>\n</svg>'
    )
    address = html._address(drawn)

    assert not set(address) & set("<>\"'&#\n")
    assert unquote(address).removeprefix("data:image/svg+xml,") == drawn.replace(
        "\n ", " "
    ).replace("\n", " ")


# ---------------------------------------------------------------------------- the whole page


def test_the_page_holds_audit_signatures_and_every_section(tmp_path: Path):
    """One page tells the whole story."""
    about = spec(published="huang2024")
    found = Tags(page_of(make(tmp_path / "run", about), about))
    text = "".join(found.text)

    assert "41 rows, 40 evaluated" in text
    assert all(metric.signature() in text for metric in about.metrics.values())
    anchors = {a["id"] for a in found.of("section")}
    assert {"table1", "table-therapist", "published", "conditions", "examples", "data",
            "provenance"} <= anchors  # fmt: skip
    navigation = {str(a["href"])[1:] for a in found.of("a") if a["href"] != "#main"}
    assert anchors <= navigation


def test_a_condition_tells_how_it_is_made(tmp_path: Path):
    """Weights, revision, prompt, decoding, how many answers, and what to type."""
    hot = Decoding("hot", sample=True, temperature=0.7, samples=2, max_new_tokens=9)
    model = replace(LLAMA.model, weights="owner/model", revision="abc123", quantization="nf4")
    about = spec(
        Condition(model, LLAMA.prompt, hot, fingerprint="f1"),
        HUMAN,
        commands=Commands("git checkout c0ffee && sweep", "explain --name demo"),
    )
    text = "".join(Tags(page_of(make(tmp_path / "run", about), about)).text)
    section = text[
        text.index("Answers by condition") : text.index("Examples", text.index("Answers by"))
    ]

    assert "owner/model@abc123" in section
    assert LLAMA.prompt.text in section
    assert "sampled at temperature 0.7" in section
    assert "explain --name demo llama.prompt1" in section
    assert "git checkout c0ffee && sweep" in section
    assert "80" in section.split("llama.prompt1")[1].split("\n")[0]
    assert "people: a therapist's answer" in section


def test_a_condition_tells_how_its_chat_template_was_used(tmp_path: Path):
    """Two rows that differ in nothing else differ on the page."""
    asked = replace(LLAMA.model, template_arguments=(("enable_thinking", False),), fold_system=True)
    about = spec(
        replace(LLAMA, chat=True, reasoning=("<think>\n", "</think>")),
        replace(LLAMA, chat=True, model=asked),
    )
    text = "".join(Tags(page_of(make(tmp_path / "run", about), about)).text)

    assert len(re.findall(r"chat template\s*applied\s*\n", text)) == 1
    assert "applied, enable_thinking = false, system message put before the user" in text
    assert text.count("between <think> and </think>") == 2  # of the condition, and in the note


def test_a_chat_prompt_is_shown_turn_by_turn(tmp_path: Path):
    """Where the chat template is applied its messages are what the model gets."""
    chat = replace(LLAMA2, chat=True)
    about = spec(chat)
    text = "".join(Tags(page_of(make(tmp_path / "run", about), about)).text)

    assert all(m.content in text for m in chat.prompt.messages)


def test_what_is_missing_is_told_first(tmp_path: Path):
    """Problems stand above the tables, and an answer that is not there yet is no empty one."""
    about = spec(LLAMA)
    run = make(tmp_path / "run", about)
    run.generation(LLAMA.id, 0, N_SHARDS).unlink()
    page = page_of(run, about, partial=True)

    assert page.index('id="missing"') < page.index('id="table1"')
    assert "lacks 14 of 40 rows" in page
    index = examples_of(page)[0]
    assert index["answers"][0]["flags"].count(browser.NO_ANSWER) == 14
    assert [texts[2] for texts in texts_of(page).values()].count(None) == 14


# ---------------------------------------------------------------------------- resources


def test_the_page_says_what_a_run_took_on_slurm_and_what_failed(tmp_path: Path):
    """What nobody measured has no column; what one line lacks and another has is not known."""
    llama = ResourceUse("generate llama", 1_200, (3.21, 16), (41.5, 60), 0.93, None, (12.5, 0.25))
    report = ResourceUse("report report", 1, (None, 2), (0.4, 10), None, None, (0, 0))
    used = ClusterUse("2026-01-02 03:04 UTC", (llama, report), ("3 failed: <bad> node",))
    run = make(tmp_path / "run", spec(LLAMA))
    page = page_of(run, replace(spec(LLAMA), used=used))
    section = page[page.index('<section id="resources"') :]
    section = section[: section.index("</section>")]
    cells = [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", section)]

    assert [re.sub("<.*?>", "", cell) for cell in cells] == [
        "Work", "Array tasks", "Memory, GB", "Minutes", "CPU", "GPU-hours", "of these lost",
        "generate llama", "1,200", "3.2 of 16", "41.5 of 60", "93%", "12.50", "0.25",
        "report report", "1", "not known", "0.4 of 10", "not known", "not known", "not known",
    ]  # fmt: skip
    assert "3 failed: &lt;bad&gt; node" in section
    assert 'id="resources"' not in page_of(run, spec(LLAMA))
