"""The page in a real Chromium: alone, sorted, by keyboard, small, dark, printed, without script."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from reports.page import html
from reports.spec import Analysis, Commands, Contrast
from reports.write import write_report
from tests.pages import CONTRAST, Opened, needs_chromium, opened
from tests.paper_tables import paper_table
from tests.papers import pdf_text
from tests.patience import until
from tests.runs.by_hand import FLAN, HUMAN, LLAMA, LLAMA2, make, spec

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page with all kinds of sections, and with texts withheld."""
    about = spec(
        LLAMA, LLAMA2, FLAN, HUMAN,
        published="huang2024",
        provenance={"command": "sweep", "uncommitted changes": "+ a\n- b\n" + "x" * 300},
        commands=Commands("git checkout c0ffee && sweep", "explain --name demo", "report --redact"),
        analysis=Analysis(contrasts=(Contrast("c", "Two less one", ((LLAMA.id, LLAMA2.id),)),)),
        withheld={"elsewhere": "licence: RAIL-D"},
    )  # fmt: skip
    run = make(tmp_path_factory.mktemp("page") / "run", about)
    write_report(run, about)
    return run.report / "index.html"


@pytest.fixture
def found(window: Browser, path: Path) -> Iterator[Opened]:
    """Return the page, opened; nothing may have gone wrong by the end."""
    with opened(window, path) as page:
        yield page
        assert page.outside() == []
        assert page.complaints == []


def column(page: Page, place: int, table: str = "#table1 table") -> list[str]:
    """Return the texts of a column of numbers, from the top."""
    cells = page.locator(f"{table} tbody tr td:nth-child({place}) .n")
    return cells.all_text_contents()


# ---------------------------------------------------------------------------- alone


def test_the_page_asks_for_nothing_and_complains_of_nothing(window: Browser, path: Path):
    """From the first byte to the last example: the file, and nothing else."""
    with opened(window, path) as found:
        found.page.locator("#examples").scroll_into_view_if_needed()
        found.page.locator("#browser[data-ready]").wait_for()
        found.page.locator("#browser [name=q]").fill("worry")
        expect(found.page.locator("#browser-status")).to_contain_text("of 40")

        assert found.requests == [path.absolute().as_uri()]
        assert found.complaints == []


@pytest.mark.parametrize(
    "smuggled",
    [
        "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
        "<svg onload='window.hacked = 1'></svg><a href='javascript:window.hacked = 1'>go</a>",
        "<style>body { display: none }</style><p style='position: fixed'>over all</p>",
        "<script src='https://example.org/a.js'></script><iframe src='https://example.org'></iframe>"
        "<link rel=stylesheet href='https://example.org/a.css'>"
        "<form action='https://example.org'><button>send</button></form>",
    ],
    ids=["scripts", "styles", "addresses"],
)
def test_the_policy_holds_even_if_markup_got_in(
    window: Browser, path: Path, tmp_path: Path, smuggled: str
):
    """What is put into the file by hand is neither run, nor applied, nor fetched."""
    bad = tmp_path / "bad.html"
    bad.write_text(path.read_text().replace("<main", f"{smuggled}<main"))
    with opened(window, bad) as found:
        for element in found.page.locator("form[action] button, a[href^=javascript]").all():
            element.evaluate("e => e.click()")
        found.page.wait_for_timeout(100)
        assert until(lambda: found.page.wait_for_timeout(100) or found.complaints)  # of refusals

        assert found.page.evaluate("window.hacked") is None
        assert [url for url in found.outside() if "bad.html" not in url and "/x" not in url] == []
        assert found.page.evaluate("getComputedStyle(document.body).display") != "none"
        assert "fixed" not in found.page.locator("p").evaluate_all(
            "all => all.map(p => getComputedStyle(p).position)"
        )


# ---------------------------------------------------------------------------- sorting


def test_a_heading_sorts_its_column_and_a_third_click_restores_it(found: Opened):
    """Best first, then the other end, then as it was; each row says whose it is."""
    page = found.page
    before = page.locator("#table1 table").inner_text()
    original = column(page, 3)
    button = page.locator("#table1").get_by_role("button", name="Overlap")
    head = page.locator("#table1 .heads th", has_text="Overlap")
    button.click()
    assert column(page, 3) == sorted(original, reverse=True)
    expect(head).to_have_attribute("aria-sort", "descending")
    names = page.locator("#table1 tbody th.model").all_inner_texts()
    assert sorted(names) == sorted([LLAMA.model.label] * 2 + [FLAN.model.label, HUMAN.model.label])
    button.click()
    assert column(page, 3) == sorted(original)
    expect(head).to_have_attribute("aria-sort", "ascending")
    button.click()

    assert page.locator("#table1 table").inner_text() == before
    assert page.locator("#table1 [aria-sort]").count() == 0


def test_where_less_is_better_the_least_comes_first(found: Opened):
    """And a button restores the order, too."""
    page = found.page
    original = column(page, 4)
    page.locator("#table1").get_by_role("button", name="Words").click()
    numbers = [float(text) for text in column(page, 4)]
    assert numbers == sorted(numbers)
    page.locator("#table1").get_by_role("button", name="Original order").click()

    assert column(page, 4) == original


def test_every_table_sorts_by_what_its_cells_say(found: Opened):
    """By value where there is one, by the text's number else; what is absent comes last."""
    page = found.page
    wrong = page.evaluate(
        """() => [...document.querySelectorAll("figure.table")].flatMap((figure) => {
          const before = figure.querySelector("table").innerText, wrong = [];
          for (const button of figure.querySelectorAll(".sort")) {
            button.click();
            const head = button.closest("th"), place = head.cellIndex;
            const rows = [...figure.querySelectorAll("tbody tr")];
            const value = (row) => row.cells[place].dataset.value ?? NaN;
            const numbers = rows.map((row) => Number(value(row))).filter((v) => !Number.isNaN(v));
            const sign = head.getAttribute("aria-sort") === "ascending" ? 1 : -1;
            const inOrder = numbers.every((v, i) => i === 0 || sign * (v - numbers[i - 1]) >= 0);
            const one = figure.querySelectorAll("[aria-sort]").length === 1;
            if (!inOrder || !one) wrong.push(button.textContent);
          }
          figure.querySelector(".restore").click();
          return figure.querySelector("table").innerText === before ? wrong : [...wrong, before];
        })"""
    )
    assert wrong == []
    assert page.locator(".sort").count() > 40


def test_people_stay_marked_when_they_are_sorted_among_models(found: Opened):
    """By their slant, not by their place alone."""
    page = found.page
    page.locator("#table1").get_by_role("button", name="Overlap").click()
    row = page.locator("#table1 tr", has_text=HUMAN.model.label)

    expect(row).to_have_class("reference")
    assert row.locator("td").first.evaluate("e => getComputedStyle(e).fontStyle") == "italic"


def test_marks_are_seen_without_colour(found: Opened):
    """Bold, underlined, and said to those who hear the page."""
    cells = found.page.locator("#table1 td")
    best = cells.locator("strong").first
    second = cells.locator("u").first

    assert int(best.evaluate("e => getComputedStyle(e).fontWeight")) >= 700
    assert "underline" in second.evaluate("e => getComputedStyle(e).textDecorationLine")
    assert " best" in (best.locator("xpath=..").text_content() or "")
    assert " second" in (second.locator("xpath=..").text_content() or "")


# ---------------------------------------------------------------------------- keys of numbers


def test_a_number_tells_its_key_to_be_copied(window: Browser, path: Path):
    """For prose, for LaTeX, for the command line."""
    permissions = ["clipboard-read", "clipboard-write"]
    with opened(window, path, permissions=permissions) as found:
        page = found.page
        page.locator("#table1 td[data-key='llama.prompt2.toy_overlap']").click()
        bar = page.locator("#table1 .key")
        assert bar.locator("code").inner_text() == "llama.prompt2.toy_overlap"
        for name, copied in (
            ("Copy key", "llama.prompt2.toy_overlap"),
            ("Copy \\res{…}", "\\res{llama.prompt2.toy_overlap}"),
            ("Copy command", "explain --name demo llama.prompt2.toy_overlap"),
        ):
            bar.get_by_role("button", name=name).click()
            page.wait_for_function(
                "text => navigator.clipboard.readText().then(t => t === text)", arg=copied
            )


def test_numbers_are_walked_by_keyboard(found: Opened):
    """Enter into the table, arrows from number to number, Escape out of it."""
    page = found.page
    box = page.locator("#table1 .scroll").first
    box.focus()
    code = page.locator("#table1 .key code")
    for key, shown in (
        ("Enter", "therapist.none.toy_overlap"), ("ArrowDown", "llama.prompt1.toy_overlap"),
        ("ArrowDown", "llama.prompt2.toy_overlap"), ("ArrowRight", "llama.prompt2.toy_words"),
        ("ArrowRight", "llama.prompt2.toy_words"), ("ArrowUp", "llama.prompt1.toy_words"),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert code.inner_text() == shown
    page.keyboard.press("Escape")

    expect(box).to_be_focused()


# ---------------------------------------------------------------------------- for everyone


def test_landmarks_headings_and_tables_have_names(found: Opened):
    """One of each landmark; sections, regions and tables are named, headings have a scope."""
    page = found.page
    for role in ("banner", "navigation", "main"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll(
          "section, table, [role=region], nav, form, fieldset, img")]
        .filter((e) => {
          const by = (e.getAttribute("aria-labelledby") || "").split(" ").filter(Boolean);
          const told = (id) => document.getElementById(id)?.textContent.trim();
          const named = by.length && by.every(told);
          const own = e.getAttribute("aria-label") || e.alt || e.querySelector(":scope > legend");
          return !named && !own;
        }).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    assert page.locator("th:not([scope])").count() == 0
    assert (
        page.locator("input:visible, select:visible").evaluate_all(
            "all => all.filter(e => !e.labels.length).length"
        )
        == 0
    )
    assert page.locator("[tabindex]").evaluate_all("all => all.every(e => e.tabIndex <= 0)")


def test_the_keyboard_finds_its_way(found: Opened):
    """First a way past the navigation; whatever has the focus shows it."""
    page = found.page
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.inner_text() == "Skip to the tables"
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        width = page.locator(":focus").evaluate("e => parseFloat(getComputedStyle(e).outlineWidth)")
        assert width >= 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(window: Browser, path: Path, scheme: str):
    """By 4.5 to 1 at least, in light and dark, marks and notices included."""
    with opened(
        window, path, "#example=sample-1&order=gap&q=w1", ready=True, color_scheme=scheme
    ) as found:
        found.page.locator("#table1 td[data-key]").first.click()
        for details in found.page.locator("details").all():
            details.evaluate("e => { e.open = true; }")
        lowest = found.page.evaluate(CONTRAST)

        assert len(lowest) > 300
        assert lowest[0][0] >= 4.5, lowest[:5]


@pytest.mark.parametrize(("scheme", "paper"), [("light", (255, 255, 255)), ("dark", (22, 24, 27))])
def test_figures_follow_dark_and_light(window: Browser, path: Path, scheme: str, paper):
    """Their sheet is the page's, their ink stands out from it, and the data stay blue."""
    with opened(window, path, color_scheme=scheme) as found:
        shot = found.page.locator(".plot img").first.screenshot()
        behind = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    pixels = Image.open(BytesIO(shot)).convert("RGB").getcolors(maxcolors=2**24)
    colours = [colour for _, colour in sorted(pixels, reverse=True)]

    assert behind == f"rgb{paper}"
    assert colours[0] == paper
    lights = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in colours]
    assert max(abs(light - lights[0]) for light in lights) > 200
    vivid = max(colours, key=lambda colour: max(colour) - min(colour))
    assert vivid[2] == max(vivid)


def test_the_page_never_scrolls_sideways(window: Browser, path: Path):
    """Wide tables and figures scroll in boxes of their own, down to a small phone."""
    with opened(window, path, "#example=sample-1", ready=True) as found:
        for details in found.page.locator("details").all():
            details.evaluate("e => { e.open = true; }")
        for width in (1920, 1280, 768, 390, 320):
            found.page.set_viewport_size({"width": width, "height": 800})
            assert found.page.evaluate("document.documentElement.scrollWidth") <= width
        box = found.page.locator("#table1 .plot .scroll")
        assert box.evaluate("e => e.scrollWidth > e.clientWidth")


def test_a_link_into_a_folded_part_unfolds_it(found: Opened):
    """A condition's name in the table leads to what is told of it."""
    page = found.page
    page.locator("#conditions table a").nth(1).click()

    expect(page.locator("#condition-2")).to_have_attribute("open", "")
    expect(page.locator("#condition-2 pre.prompt").first).to_be_visible()


@pytest.mark.parametrize("address", ["#%", "#<img>", "#example=%&order=none&a=x&least=y"])
def test_an_address_that_is_none_breaks_nothing(window: Browser, path: Path, address: str):
    """What cannot be read is passed over."""
    with opened(window, path, address) as found:
        found.page.locator("#table1").get_by_role("button", name="Overlap").click()
        found.page.locator("#examples").scroll_into_view_if_needed()
        found.page.locator("#browser[data-ready]").wait_for()

        assert found.page.locator("#browser-example h3").inner_text() == "sample-0"
        assert found.complaints == []


def test_the_page_can_be_read_without_script(window: Browser, path: Path):
    """Tables, figures and prompts are there, and no button that is dead; examples say why."""
    with opened(window, path, java_script_enabled=False) as found:
        page = found.page
        assert page.locator("button:visible, input:visible, select:visible").count() == 0
        assert "need JavaScript" in page.locator("#examples").inner_text()
        assert "0.6414" in page.locator("#table1 table").inner_text()
        page.locator("#conditions summary").first.click()
        expect(page.locator("#condition-1 pre.prompt").first).to_be_visible()
        expect(page.locator(".plot img").first).to_be_visible()


def test_in_print_tables_are_whole_and_the_browser_is_not_there(
    window: Browser, path: Path, tmp_path: Path
):
    """Folded parts are printed; nothing is cut at the side."""
    with opened(window, path, "#example=sample-1", ready=True) as found:
        page = found.page
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 703, "height": 1000})  # what A4 leaves between the margins
        expect(page.locator("#browser")).to_be_hidden()
        expect(page.locator("nav")).to_be_hidden()
        assert page.locator("button:visible").count() == len(
            page.locator(".heads .sort:visible").all()
        )
        cut = page.locator(".scroll").evaluate_all(
            "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 1"
            " || e.scrollWidth > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"
        )
        assert cut == []
        pdf = tmp_path / "page.pdf"
        page.pdf(path=pdf, prefer_css_page_size=True)
    text = pdf_text(pdf)
    assert LLAMA.prompt.text.split("{")[0].split("\n")[0][:30] in text
    assert "Examples are not printed" in text
    assert "worry 1?" not in text


def test_the_papers_table_fits_a_desktop(window: Browser, tmp_path: Path):
    """Eight columns beside model and prompt, without scrolling."""
    alone = tmp_path / "table1.html"
    alone.write_text(html.table_page([paper_table()], "Table 1", ""))
    with opened(window, alone) as found:
        box = found.page.locator(".scroll")
        assert box.evaluate("e => e.scrollWidth <= e.clientWidth")
        found.page.get_by_role("button", name="BLEU").click()
        assert column(found.page, 3, "table")[0] == "0.4362"
        assert found.complaints == []
        assert found.outside() == []
