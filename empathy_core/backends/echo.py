"""Answers without weights: for trying out configurations, clusters and failures."""

import hashlib
import random
import time
from collections.abc import Sequence

from empathy_core.backends.protocol import Answer, Request
from empathy_core.conversation import text_of
from empathy_core.errors import ModelError
from empathy_core.prompts.stops import before_stop
from empathy_core.types import Condition, ModelSpec

HOG_S = 4
"""How long memory is held: those who watch it look once a second or so."""


class EchoBackend:
    """Answers with the question's words in another order, the same at every call.

    Options: ``delay_s`` sleeps before each answer; ``fail`` raises on questions that contain
    these words; ``hog`` takes ``hog_mb`` MB of memory for a while on questions that contain these.
    """

    halvings = 0

    def __init__(self, model: ModelSpec) -> None:
        options = {"delay_s": 0.0, "fail": "", "hog": "", "hog_mb": 0, **dict(model.options)}
        self._delay_s, self._fail = options.pop("delay_s"), options.pop("fail")
        self._hog, self._hog_mb = options.pop("hog"), options.pop("hog_mb")
        words = isinstance(self._fail, str) and isinstance(self._hog, str)
        sound = isinstance(self._delay_s, int | float) and isinstance(self._hog_mb, int) and words
        if options or not sound:
            msg = (
                f"models.{model.name}.options: expected delay_s (seconds), fail and hog (words), "
                f"hog_mb (MB), got {dict(model.options)}; correct them and run again"
            )
            raise ModelError(msg)

    def answer(self, condition: Condition, requests: Sequence[Request]) -> list[Answer]:
        """Answer each request; nothing but its prompt, sample and the seed matters."""
        return [self._answer(condition, request) for request in requests]

    def close(self) -> None:
        """Do nothing: nothing is loaded."""

    def _answer(self, condition: Condition, request: Request) -> Answer:
        time.sleep(float(self._delay_s))
        question = text_of(request.context)
        if self._hog and str(self._hog) in question:
            taken = b"x" * (int(self._hog_mb) << 20)
            time.sleep(HOG_S)
            del taken
        if self._fail and str(self._fail) in question:
            msg = (
                f"echo failed on {request.example}, as its option fail = '{self._fail}' asks; "
                "expected questions without these words; remove the option"
            )
            raise RuntimeError(msg)  # as a bug or a broken node would
        decoding = condition.decoding
        prompt = condition.prompt.plain(request.context)
        key = f"{prompt}|{request.sample}|{decoding.seed if decoding.sample else ''}"
        chance = random.Random(hashlib.sha256(key.encode()).digest())  # noqa: S311  # no secret
        words = chance.choices(question.split() or ["…"], k=chance.randint(5, 60))
        kept = words[: decoding.max_new_tokens]
        text = " ".join(kept)
        said = before_stop(text, decoding.stop)
        return Answer(
            text=said,
            stop="eos" if len(kept) == len(words) or said != text else "length",
            prompt_sha256=hashlib.sha256(prompt.encode()).hexdigest(),
            n_prompt_tokens=len(prompt.split()),
            n_output_tokens=len(said.split()),
        )
