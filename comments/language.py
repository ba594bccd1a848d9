"""The language of a comment, as a BCP-47 tag.

Scripts that one language writes are told by their letters; everything else by py3langid (Lui and Baldwin 2012), a naive Bayes
classifier over byte n-grams, which carries its model in its wheel, together with lists of function words for what it does not
know: romanised Hindi, and comments that mix English with another language. docs/training.md says how well that works.
"""

import functools
import re
import threading
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNDETERMINED = "und"
MIXED = "mul"
"""Code-mixed: parts of the comment are in different languages."""
MAX_READ = 500
"""Characters read of a comment: more would hardly change the answer, and the time grows with them."""
MIN_PROBABILITY = 0.5
"""Less probable answers are undetermined."""
MIN_WORDS = 2
"""Distinct function words that show a language."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LANGUAGES = _words(
    "af am ar az bg bn bs ca cs da de el en es et fa fi fr gu he hi hr hu hy id is it ja ka kk km kn ko lo lt lv mk "
    "ml mn mr ms my ne nl no pa pl pt ro ru si sk sl sq sr sv sw ta te th tl tr uk ur vi zh"
)
"""The languages told apart. Rare ones would take short comments from the common ones."""
_TAGS = {"tl": "fil"}
"""BCP-47 tags that are not the identifier's own name for a language."""
_SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "THAI": "th",
    "LAO": "lo",
    "KHMER": "km",
    "MYANMAR": "my",
    "GREEK": "el",
    "HEBREW": "he",
    "ARMENIAN": "hy",
    "GEORGIAN": "ka",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "SINHALA": "si",
    "ETHIOPIC": "am",
}
"""Scripts that one of the languages writes alone, by the first word of their letters' Unicode names."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_PLACEHOLDER = re.compile(r"@user\b|\bhttp\b")
_ENGLISH = _words(
    "the and are this that these with you your my have has from they but what when where it's not just never every "
    "been were which don't can't i'm would should because"
)
_ROMANISED_HINDI = _words(
    "hai hain nahi nahin nhi kya kyu kyun kyon kaise kaisa bhi bhai yaar yar bahut bohot bhut toh aur mein mera meri "
    "mere tera teri tere apna apne apni karo karna karte karta karke raha rahe rahi rha rhi gaya gayi gye tha thi "
    "thay wala wale wali kuch koi abhi hota hoti hote hoga hogi kiya kiye accha acha achha achhi matlab agar lekin "
    "aap tum mujhe isko usko iska uska dekh dekho dekha phir jab tak yeh woh liye ekdum sirf bilkul itna itni kitna "
    "kitni"
)
_OFTEN_ROMANISED_HINDI = _words("ka ki ke ko se me pe ne ye wo ho hi h to kar sab ab na dil kab par jo")
"""Function words of Hindi that are words of other languages, too."""
_OTHERS = {
    "es": "que el los las una con para por pero muy esto esta está este mi es y en lo del como más sí cuando todo toda se nos",
    "pt": "que não uma com para por mas muito isso esse essa eu você meu minha é os em mais tá pra vocês",
    "fr": "le les une des et est pas je tu elle nous vous ce cette mais avec dans sur qui que c'est très trop j'ai",
    "de": "der das und ist nicht ein eine ich wir ihr mit für auf aber sehr auch noch wie den dem",
    "it": "che il di una per non con ma è sono questo questa della",
    "id": "yang dan ini itu tidak nggak gak aku kamu saya dengan untuk banget sih dong bisa juga",
    "tr": "bir ve bu çok için ama değil ben sen gibi",
    "fil": "ang ng mga na sa po yung yun ko mo siya sya ako ikaw kayo tayo natin nyo niyo lang din rin pa ba naman kasi talaga "
    "hindi wala meron dito doon pero ito yan ni si nag",
}
_WORDS = {language: _words(words) for language, words in _OTHERS.items()}


def language_of(text: str) -> str:
    """The BCP-47 tag of a normalised comment's language.

    `und` if the comment does not tell (emoji, names, a word of many languages), `mul` if it mixes English with another
    language, `hi-Latn` for Hindi in Latin letters, mixed with English or not. Takes about a tenth of a millisecond; the first
    call, which loads the model, a second. Any thread may call it.

    >>> language_of("最高でした"), language_of("que vídeo más bonito, gracias"), language_of("😀")
    ('ja', 'es', 'und')
    """
    text = _PLACEHOLDER.sub(" ", text[:MAX_READ])
    if (script := _main_script(text)) in _SCRIPTS:
        return _SCRIPTS[script]
    words = {word.lower() for word in _WORD.findall(text)}
    if not words:
        return UNDETERMINED
    hindi = len(words & _ROMANISED_HINDI)
    if script == "LATIN" and hindi and 2 * hindi + len(words & _OFTEN_ROMANISED_HINDI) > 2 * MIN_WORDS - 1:
        return "hi-Latn"
    language, probability = _identifier().classify(text)
    language = _TAGS.get(language, language) if probability >= MIN_PROBABILITY else UNDETERMINED
    return MIXED if _mixed(words, language) else language


def load() -> None:
    """Load the model, so that the first call of `language_of` takes no longer than others."""
    _identifier()


def _mixed(words: set[str], language: str) -> bool:
    """Whether a text with these words, which is mainly in `language`, mixes English with another language.

    Two function words of one language and one of the other show that.
    """
    english = len(words & _ENGLISH)
    if language in ("en", UNDETERMINED):
        other = max(len(words & others) for others in _WORDS.values())
        other = max(other, sum(not word.isascii() and _script(word[0]) != "LATIN" for word in words))
    else:
        other = max(1, len(words & _WORDS.get(language, frozenset())))  # the identifier found it
    return english >= 1 and other >= 1 and (other >= MIN_WORDS or (language != "en" and english >= MIN_WORDS))


def _main_script(text: str) -> str:
    """The script of most letters, as the first word of their names; empty without letters. Kana make a text Japanese."""
    if text.isascii():
        return "LATIN"
    scripts = Counter(map(_script, filter(str.isalpha, text)))
    if kana := scripts["HIRAGANA"] + scripts["KATAKANA"]:
        scripts["HIRAGANA"] = kana + scripts.pop("CJK", 0)
    return scripts.most_common(1)[0][0] if scripts else ""


@functools.lru_cache(maxsize=10_000)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNNAMED").split()[0]


_loading = threading.Lock()


@functools.cache
def _loaded() -> "LanguageIdentifier":
    import numpy as np
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    whole = LanguageIdentifier.from_model_file(MODEL_FILE)
    columns = [index for index, language in enumerate(whole.nb_classes) if language in LANGUAGES]
    return LanguageIdentifier(  # without the other languages, which `set_languages` would keep in memory
        np.ascontiguousarray(whole.nb_ptc[:, columns]),
        whole.nb_pc[columns],
        [whole.nb_classes[index] for index in columns],
        whole.tk_nextmove,
        whole.tk_output,
        norm_probs=True,
        tk_row=whole.tk_row,
    )


def _identifier() -> "LanguageIdentifier":
    with _loading:  # once, for any number of threads that need it first
        return _loaded()
