"""Texts that are not UTF-8: refused with a proposal, read as they are named."""
# ruff: noqa: RUF001  signs that look alike are what is tested

from pathlib import Path

import pytest

from empathy_core.data import (
    DataSpec,
    EvaluateSpec,
    Source,
    TextLayout,
    audit_text,
    prepare,
    reading,
)
from empathy_core.data.decoding import proposed
from empathy_core.data.mojibake import misread
from empathy_core.errors import ConfigError, DataError

# real sentences: what is frequent in a language is what an encoding is proposed by
WRITTEN = {
    "cp1252": "Ich fühle mich müde und traurig. Können Sie mir helfen? Größere Ängste quälen mich.",
    "cp1250": "Jestem smutny i nie wiem, co robić. Proszę o pomoc. Moja mama źle się czuje.",
    "cp1251": "Мне грустно, и я не знаю, что делать. Помогите, пожалуйста. Моя мама не спит.",
    "koi8_r": "Мне грустно, и я не знаю, что делать. Помогите, пожалуйста. Моя мама не спит.",
    "cp1253": "Είμαι λυπημένος και δεν ξέρω τι να κάνω. Βοηθήστε με, παρακαλώ.",
    "cp1256": "أنا حزين ولا أعرف ماذا أفعل. ساعدوني من فضلكم. أمي لم تنم منذ أسبوع.",
    "gb18030": "我很难过,不知道该怎么办。请帮帮我。我妈妈已经一个星期没睡了。",
    "big5": "我很難過,不知道該怎麼辦。請幫幫我。我媽媽已經一個星期沒睡了。",
    "shift_jis": "とても悲しいです。どうすればいいのか分かりません。母はもう一週間眠っていません。",
    "euc_kr": "너무 슬퍼요. 어떻게 해야 할지 모르겠어요. 도와주세요. 어머니는 잠을 못 주무세요.",
}


def _file(folder: Path, data: bytes, encoding: str | None = None) -> Source:
    path = folder / "d.csv"
    path.write_bytes(data)
    layout = TextLayout(encoding)
    return Source("own", path=str(path), context=("q",), response="a", layout=layout)


@pytest.mark.parametrize("encoding", WRITTEN)
def test_the_encoding_is_proposed_and_read_once_it_is_named(tmp_path: Path, encoding: str):
    """The proposal reads every byte as it was meant; nothing is read before it is named."""
    text = f'q,a\n"{WRITTEN[encoding]}",Sleep first.\n'
    data = text.encode(encoding)

    best = proposed(data)[0].encoding

    assert data.decode(best) == text
    with pytest.raises(DataError, match=rf'own\.encoding = "{best}" if these words are right'):
        reading.read(_file(tmp_path, data))
    assert reading.read(_file(tmp_path, data, best)).rows[0].context == WRITTEN[encoding]


def test_a_refusal_shows_place_and_three_samples(tmp_path: Path):
    """Byte, offset and line of the first; words of three lines that differ."""
    lines = [
        "q,a",
        "Why?,So.",
        "J'ai peur de l'été.,Ça ne va pas très bien.",
        "Où êtes-vous?,Depuis des années.",
        "À cause de ma mère?,Peut-être.",
        "é,è",
    ]
    data = "\n".join(lines).encode("cp1252")

    with pytest.raises(DataError) as caught:
        reading.read(_file(tmp_path, data))

    said = str(caught.value)
    assert f"byte 0xE9 at offset {len('q,a,Why?,So.,J ai peur de l ')}, line 3" in said
    assert all(words in said for words in ("peur de l'été", "”, “Où êtes-vous?", "”, “À cause"))
    assert "“é,è”" not in said
    assert '"utf-8" takes the file as UTF-8 with damaged bytes' in said


def test_bytes_that_are_not_of_the_named_encoding_are_refused_with_their_place(tmp_path: Path):
    """0x81 is no character of cp1252."""
    data = b"q,a\nWhy?,So.\nHm\x81m,No.\n"

    with pytest.raises(
        DataError, match=r"is not cp1252 \(byte 0x81 at offset 15, line 3\).*encoding"
    ):
        reading.read(_file(tmp_path, data, "cp1252"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_mark_says_the_encoding(tmp_path: Path, encoding: str):
    """Nothing needs to be named."""
    data = "q,a\nCafé?,Là.\n".encode(encoding)

    assert reading.read(_file(tmp_path, data)).rows[0].response == "Là."


MISREAD = [
    "It’s “fine” – really…",
    "Ça va très mal, où est Noël?",
    "Мне грустно",
    "我很难过",
    "ok 😀",
    "Λύπη",
]
RIGHT = [
    "CAFÉ” … «À Noël», Ångström, Ñandú: ÃO É…",
    "naïve café’s “é”…",
    "Â, â, ô — Ê»",
    "我很难过 Мне 😀",
    "Ð Ñ",
]


@pytest.mark.parametrize("text", MISREAD)
@pytest.mark.parametrize("codec", ["cp1252", "latin-1"])
def test_utf_8_that_was_taken_for_another_is_noticed(text: str, codec: str):
    """In the form that it has then, with what it was; cp1252 has no five of the bytes."""
    wrong = "".join(
        byte.decode(codec, errors="ignore") or byte.decode("latin-1")
        for byte in (bytes([value]) for value in text.encode())
    )

    found = misread(wrong)

    assert found is not None
    assert found[0] in wrong
    assert found[1] in text
    assert misread(text) is None


@pytest.mark.parametrize("text", [*RIGHT, *WRITTEN.values()])
def test_a_text_that_is_right_is_left_alone(text: str):
    """Accents beside quotation marks and dashes, and other scripts."""
    assert misread(text) is None


def test_rows_that_were_decoded_wrongly_are_counted_and_named(tmp_path: Path):
    """A line of the source, a warning from one row in a hundred on; texts stay as they are."""
    rows = [
        "q,a",
        "Why?,Itâ€™s late.",
        "Où?,LÃ\u00a0-bas",
        *(f"So {i}?,Because of it." for i in range(60)),
    ]
    source = _file(tmp_path, "\n".join(rows).encode())

    prepared = prepare(DataSpec((source,)), EvaluateSpec(split="all"))

    assert prepared.audit["sources"][0]["misread"] == {
        "rows": 2, "examples": ["â€™ for ’", "Ã\xa0 for à"],
    }  # fmt: skip
    (warning,) = prepared.audit["warnings"]
    assert warning.startswith("own: in 2 of 62 rows characters were decoded wrongly (â€™ for ’")
    assert "misread                                 2  rows" in audit_text(prepared.audit)
    assert "Itâ€™s late." in prepared.examples["response"].to_list()


def test_an_encoding_that_python_does_not_know_is_refused(tmp_path: Path):
    """With its key, and names that there are."""
    with pytest.raises(ConfigError, match=r"own\.encoding is 'cp12520', .*such as utf-8.*correct"):
        reading.read(_file(tmp_path, b"q,a\n", "cp12520"))
