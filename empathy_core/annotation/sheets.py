"""The same packet for a spreadsheet and for other tools: Label Studio, Potato, Qualtrics. Pure.

In all of them a dimension is called ``answers.field_name``, and an answer is a label of its scale.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import quoteattr

from empathy_core.annotation.answers import NOT_ASKED, field_name
from empathy_core.annotation.asked import AskedDimension
from empathy_core.annotation.packets import Packet, PacketItem, PacketPage

SHEET, TASKS, CONFIG = "packet.csv", "label-studio.json", "label-studio.xml"
POTATO, POTATO_CONFIG, QUALTRICS = "potato.jsonl", "potato.yaml", "qualtrics.csv"
QUESTIONS = "questions.txt"
"""What each column of ``SHEET`` asks."""


def sheets(packet: Packet, asked: Sequence[AskedDimension], helpline: str) -> Mapping[str, str]:
    """Return file name → text."""
    return {
        SHEET: _sheet(packet, asked),
        QUESTIONS: _questions(asked, helpline),
        TASKS: _json([{"data": _data(packet, page, item)} for page, item in _items(packet)]),
        CONFIG: _label_studio(asked, helpline),
        # ASCII, since some tools end a line at any line break that Unicode knows
        POTATO: "".join(f"{json.dumps(_potato(page, item))}\n" for page, item in _items(packet)),
        POTATO_CONFIG: _potato_config(packet, asked, helpline),
        QUALTRICS: _qualtrics(packet, asked),
    }


def _items(packet: Packet) -> Iterator[tuple[PacketPage, PacketItem]]:
    for page in packet.pages:
        yield from ((page, item) for item in page.items)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _name(asked: AskedDimension) -> str:
    return field_name(asked.rubric.name, asked.dimension.name)


def _described(asked: AskedDimension) -> str:
    """Return question and scale in one text, for tools that show no more of a point than a word."""
    points = "\n".join(f"{label}: {text}" for label, text in asked.points)
    return "\n".join(filter(None, (asked.levels, asked.dimension.question, points)))


# ---------------------------------------------------------------------------- a spreadsheet


def _sheet(packet: Packet, asked: Sequence[AskedDimension]) -> str:
    """Return the sheet: UTF-8 with the mark that Excel wants, a row each answer."""
    names = [_name(one) for one in asked]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["packet", "item", "question", "answer", *names, "note"])
    for page, item in _items(packet):
        cells = ["" if page.asks(one) else NOT_ASKED for one in asked]
        texts = [_cell(page.question.context), _cell(item.answer.text)]
        writer.writerow([packet.id, item.id, *texts, *cells, ""])
    return "\ufeff" + out.getvalue()


def _questions(asked: Sequence[AskedDimension], helpline: str) -> str:
    """Return what the columns ask, and the help that every form of a packet names."""
    parts = [
        f"Help: {helpline}",
        "Write one of the given answers into each cell; leave it empty to skip.",
    ]
    rubric = None
    for one in asked:
        parts += [one.rubric.instruction] * (one.rubric != rubric)
        rubric = one.rubric
        parts.append(f"[{_name(one)}]\n{_described(one)}")
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


# ---------------------------------------------------------------------------- Label Studio


def _data(packet: Packet, page: PacketPage, item: PacketItem) -> dict[str, str]:
    return {
        "packet": packet.id, "item": item.id, "question": page.question.context,
        "answer": item.answer.text,
    }  # fmt: skip


def _label_studio(asked: Sequence[AskedDimension], helpline: str) -> str:
    """Return the labelling interface.

    ``Choices``, since a ``Rating`` that nobody touched comes back as 0; what is chosen comes back
    as its label (``alias``).
    """
    lines = [
        "<View>",
        f"  <Header value={quoteattr('Help: ' + helpline)} size='6'/>",
        "  <Header value='The person&#39;s message'/>",
        "  <Text name='question' value='$question'/>",
        "  <Header value='The reply to rate'/>",
        "  <Text name='answer' value='$answer'/>",
    ]
    rubric = None
    for one in asked:
        if one.rubric != rubric:
            lines.append(f"  <Header value={quoteattr(one.rubric.instruction)} size='6'/>")
        rubric = one.rubric
        question = " ".join(filter(None, (one.levels, one.dimension.question)))
        required = str(not one.dimension.tiers).lower()
        lines += [
            f"  <Header value={quoteattr(question)} size='5'/>",
            f"  <Choices name={quoteattr(_name(one))} toName='answer' choice='single-radio' "
            f"required='{required}'>",
            *(
                f"    <Choice value={quoteattr(f'{label}: {text}')} alias={quoteattr(label)}/>"
                for label, text in one.points
            ),
            "  </Choices>",
        ]
    lines.append("  <TextArea name='note' toName='answer' placeholder='Note (optional)'/>")
    return "\n".join([*lines, "</View>", ""])


# ---------------------------------------------------------------------------- Potato


def _potato(page: PacketPage, item: PacketItem) -> dict[str, str]:
    text = f"The person's message:\n{page.question.context}\n\nThe reply:\n{item.answer.text}"
    return {"id": item.id, "text": text}


def _potato_config(packet: Packet, asked: Sequence[AskedDimension], helpline: str) -> str:
    """Return the configuration: YAML, whose values are written as JSON, which YAML contains."""
    schemes = [
        {
            "annotation_type": "radio",
            "name": _name(one),
            "description": f"{one.rubric.instruction}\n\n{_described(one)}",
            "labels": [label for label, _ in one.points],
            "label_requirement": {"required": not one.dimension.tiers},
        }
        for one in asked
    ]
    settings = {
        "annotation_task_name": f"Rating replies ({packet.rater}). Help: {helpline}",
        "task_dir": ".",
        "output_annotation_dir": f"annotations-{packet.id}",
        "data_files": [POTATO],
        "item_properties": {"id_key": "id", "text_key": "text"},
        "num_annotators_per_item": 1,
        "annotation_schemes": schemes,
    }
    return "".join(f"{name}: {_json(value)}\n" for name, value in settings.items())


# ---------------------------------------------------------------------------- Qualtrics


def _qualtrics(packet: Packet, asked: Sequence[AskedDimension]) -> str:
    """Return which question code of a survey means which item and dimension.

    Give the survey's questions these codes (export tags), or write your own into ``code``.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["code", "packet", "item", "rubric", "dimension"])
    for number, (page, item) in enumerate(_items(packet), start=1):
        for place, one in enumerate(asked, start=1):
            if page.asks(one):
                names = [one.rubric.name, one.dimension.name]
                writer.writerow([f"Q{number}.{place}", packet.id, item.id, *names])
    return out.getvalue()
