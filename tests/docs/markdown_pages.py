"""The pages of the documentation as the tests read them: blocks, words in code, links, anchors."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests import preloaded
from tests.slurm.cluster import without

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))
LAUNCH = "python -m jobs.launch"

_MARK = re.compile(r"<!-- (run|file|example|columns)(?:: (.*?))? -->")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        line: 1-based, of its fence.
        marks: What the comments right before it say: ``run``, ``file``, ``example``.
    """

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str]

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


@lru_cache
def tokens(page: Path) -> tuple[Token, ...]:
    """Return the tokens of a page."""
    return tuple(MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")))


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, each with the comments right before it."""
    marks: dict[str, str] = {}
    for token in tokens(page):
        if token.type == "html_block":
            marks |= {m[1]: m[2] or "" for m in _MARK.finditer(token.content)}
        elif token.type == "fence":
            line = (token.map or [0])[0] + 1
            yield Block(page, line, token.info.strip(), token.content, marks)
            marks = {}
        else:
            marks = {}


def all_blocks(*languages: str) -> list[Block]:
    """Return the blocks of these languages on all pages."""
    return [b for page in PAGES for b in blocks(page) if b.language in languages]


def inline(page: Path) -> list[Token]:
    """Return what stands inside paragraphs, headings and cells: text, code, links."""
    return [child for token in tokens(page) for child in token.children or ()]


def code(page: Path) -> list[str]:
    """Return the words in code type of a page, blocks left out."""
    return [token.content for token in inline(page) if token.type == "code_inline"]


def links(page: Path) -> list[str]:
    """Return where a page's links lead."""
    return [str(t.attrs["href"]) for t in inline(page) if t.type == "link_open"]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as a code host and MyST make them."""
    found = tokens(page)
    heads = [b for a, b in pairwise(found) if a.type == "heading_open"]
    return {_slug("".join(c.content for c in head.children or ())) for head in heads}


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def tables(page: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield heading → rows of each table: the heading above it, or its mark ``columns``."""
    heading, mark, rows, row = "", "", [], []
    found = tokens(page)
    for i, token in enumerate(found):
        if token.type == "heading_open":
            heading = found[i + 1].content
        elif token.type == "html_block" and (found_mark := _MARK.search(token.content)):
            mark = found_mark[2] if found_mark[1] == "columns" else mark
        elif token.type == "tr_open":
            row = []
        elif token.type in ("th_open", "td_open"):
            row.append(found[i + 1].content)
        elif token.type == "tr_close":
            rows.append(row)
        elif token.type == "table_close":
            yield mark or heading, rows[1:]
            mark, rows = "", []


def commands(block: Block) -> list[list[str]]:
    """Return the words of each command of a shell block, without variables before it."""
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if words:
            found.append(words)
    return found


def shell(text: str, folder: Path) -> str:
    """Run a shell block in *folder* as a reader without Slurm would, and return what it printed."""
    python = shlex.quote(preloaded.python())
    script = re.sub(r"^python ", f"{python} ", text, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-ec", script], cwd=folder, env=_environment(), capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    return without(kept, "sbatch") | {
        "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
