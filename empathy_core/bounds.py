"""Bounds of settings, as annotations: pydantic checks them where a configuration is read.

The dataclasses that are annotated with them check nothing when code makes one.
"""

from typing import Annotated

from pydantic import AfterValidator, Field


def _one_character(text: str) -> str:
    if len(text) != 1 or text in '"\r\n\x00':
        msg = "should be one character that is no quotation mark and no line break"
        raise ValueError(msg)
    return text


Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeast0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
FromMinus1 = Annotated[float, Field(ge=-1, le=1)]
Between0And1 = Annotated[float, Field(gt=0, lt=1)]
NotEmpty = Annotated[str, Field(min_length=1)]
Visible = Annotated[str, Field(pattern=r"\S")]
Label = Annotated[str, AfterValidator(lambda text: " ".join(text.split()))]
"""A text on one line; of blanks alone nothing remains."""
Separator = Annotated[str, AfterValidator(_one_character)]
