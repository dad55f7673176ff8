"""Rows of 5,000 real answers made and checked: encoding, the evaluation's prompts, 13 findings.

Prints ``preflight-5000: <20 s / seconds>x (asked 1.0x)``, in seconds of one core, since all of it
runs in one thread; fails unless all findings are right.
"""

import gzip
import io
import random
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core import models, weights
from empathy_core.prompts import prompt
from empathy_core.prompts.rendering import Renderer
from empathy_core.prompts.stops import stop_tokens
from empathy_core.prompts.tokenizers import load_tokenizer
from empathy_core.training.loop.batches import collate, pad_token
from empathy_core.training.preflight import run as preflight
from empathy_core.training.rows.encode import Encoder
from empathy_core.training.spec import FinetuneSpec, Pair
from empathy_core.types import Condition, Decoding

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ROWS, ASKED_S, WINDOW = 5000, 20.0, 8192


def pairs() -> list[Pair]:
    """Return real rows where the data is at hand, else random words of an English kind.

    Each question is numbered, so that no two are rendered as one.
    """
    path = SHARED / "counsel-chat" / "amod_like_3512.csv.gz"
    if path.exists():
        frame = pl.read_csv(io.BytesIO(gzip.decompress(path.read_bytes()))).drop_nulls()
        rows = list(zip(frame["Context"].to_list(), frame["Response"].to_list(), strict=True))
    else:
        draw = random.Random(0)
        words = ["I", "feel", "you", "and", "the", "sad", "work", "sleep", "because", "alone."]
        rows = [(" ".join(draw.choices(words, k=60)), " ".join(draw.choices(words, k=200)))
                for _ in range(ROWS)]  # fmt: skip
    return [Pair(f"r-{i}", f"{i}. {q}", a) for i, (q, a) in enumerate(islice(cycle(rows), ROWS))]


def checked(spec: FinetuneSpec, tokenizer: Any, rows: Sequence[Pair]) -> preflight.RowsToCheck:
    """Do all that comes before the findings."""
    stops = stop_tokens(weights.locate(str(spec.base.weights)), tokenizer)
    condition = Condition(spec.base, spec.prompt, Decoding(), chat=spec.chat)
    asked = Renderer(condition, tokenizer, WINDOW, "error").prompts([p.context for p in rows])
    pad = pad_token(tokenizer, stops, len(tokenizer))
    return preflight.RowsToCheck(
        spec=spec,
        tokenizer=tokenizer,
        stops=stops,
        pad=pad,
        pairs=rows,
        rows=Encoder(spec, tokenizer, WINDOW, stops).encode(rows),
        collate=partial(collate, pad=pad, encoder_decoder=False),
        evaluated=[p.ids for p in asked],
    )


def main() -> None:
    """Make the rows and check them, once."""
    base = models.model("smollm2_135m_instruct")
    spec = FinetuneSpec("tune", "Tune", base, prompt("prompt2"), chat=True)
    tokenizer, rows = load_tokenizer(weights.locate(str(base.weights))), pairs()
    began, start = time.perf_counter(), time.process_time()
    made = checked(spec, tokenizer, rows)
    middle = time.process_time()
    found = preflight.check_rows(made)
    end = time.process_time()
    wall_s = time.perf_counter() - began
    if preflight.wrong(found, ()):
        raise SystemExit(preflight.text(found))
    tokens = sum(len(row.input_ids) for row in made.rows)
    print(f"{ROWS} rows of {tokens / ROWS:.0f} tokens on average, fourteen findings right")
    print(
        f"encoding {middle - start:.1f} s, findings {end - middle:.1f} s of one core; "
        f"{wall_s:.1f} s on the clock"
    )
    print(f"preflight-{ROWS}: {ASKED_S / (end - start):.1f}x (asked 1.0x)")


if __name__ == "__main__":
    main()
