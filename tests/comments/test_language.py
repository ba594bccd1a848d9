import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.language import ACCEPTED, SAMPLE, Told, tables
from commentwise.comments.language import LANGUAGES, MAX_READ, language_of
from commentwise.comments.normalize import normalize

CASES = {
    "English": ("the second half of this video is so much better than the first", "en"),
    "Spanish": ("no entiendo por qué la gente critica tanto este vídeo", "es"),
    "Portuguese": ("não consigo parar de assistir, muito obrigado pela aula", "pt"),
    "Russian": ("почему звук такой тихий, ничего не слышно", "ru"),
    "Hindi": ("यह वीडियो देखकर बहुत मज़ा आया, धन्यवाद", "hi"),
    "Arabic": ("شكرا جزيلا على هذا الشرح الرائع", "ar"),
    "Chinese": ("这个视频真的太好看了，谢谢分享", "zh"),
    "Japanese with kanji": ("最高の動画でした", "ja"),
    "one Japanese word": ("すごい", "ja"),
    "Korean": ("ㅋㅋㅋ 진짜 대박", "ko"),
    "Thai": ("ดีมาก", "th"),
    "Tamil": ("நன்று", "ta"),
    "Filipino": ("ang ganda ng video na ito, salamat po", "fil"),
    "romanised Hindi": ("bhai kya mast video banaya hai", "hi-Latn"),
    "romanised Hindi with English": ("the camera quality bahut achhi hai yaar", "hi-Latn"),
    "Spanish and English": ("este video is the best que he visto and you know it", "mul"),
    "Russian and English": ("это лучшее видео, thank you and keep going, they should watch this", "mul"),
    "emoji": ("😍😍😍", "und"),
    "digits": ("10:30 !!!", "und"),
    "laughter": ("lol", "und"),
    "placeholders": ("@user http", "und"),
    "empty": ("", "und"),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_language_of(text: str, expected: str) -> None:
    assert language_of(text) == expected


def test_placeholders_do_not_count() -> None:
    assert language_of("@user @user http вот это да, очень хорошее видео http") == "ru"


@settings(deadline=None)
@given(st.text())
def test_every_text_has_a_known_tag(text: str) -> None:
    known = {*LANGUAGES, "fil", "hi-Latn", "mul", "und"} - {"tl"}
    assert language_of(text) in known


def test_the_start_of_a_long_comment_decides() -> None:
    start = ("das Video ist wirklich sehr gut gemacht " * 20)[:MAX_READ]
    assert language_of(start + "and the rest is in English " * 500) == language_of(start) == "de"


def test_threads_share_one_model() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(language_of, ["merci beaucoup pour cette très belle vidéo"] * 20)) == {"fr"}


def test_the_sample_is_told_apart() -> None:
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    told = [Told(row["language"], len(row["text"]), language_of(normalize(row["text"]))) for row in rows]
    one = [each.outcome for each in told if each.language not in ACCEPTED]
    assert one.count("right") >= 0.92 * len(one)
    assert one.count("wrong") <= 0.02 * len(one)
    assert [each for each in told if each.answer == "mul" and each.language not in ACCEPTED] == []


def test_tables_count_outcomes() -> None:
    told = [Told("de", 5, "de"), Told("de", 15, "und"), Told("fr", 15, "en"), Told("es-en", 90, "mul")]
    lines = tables(told)
    assert "| 1 to 10 | 1 | 100.0% | 0.0% | 0.0% |" in lines
    assert "| 11 to 20 | 2 | 0.0% | 50.0% | 50.0% |" in lines
    assert "| more than 80 | 0 | 0.0% | 0.0% | 0.0% |" in lines
    assert "| all | 3 | 33.3% | 33.3% | 33.3% |" in lines
    assert "| es-en | 1 | 100.0% | 0.0% | 0.0% |  |" in lines
    assert "| fr | 1 | 0.0% | 0.0% | 100.0% | en (1) |" in lines
