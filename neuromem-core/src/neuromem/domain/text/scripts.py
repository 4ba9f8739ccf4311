r"""The ranges of Unicode that the text code tells apart, written once.

Every constant is the inside of a regular expression's character class, for example ``f"[{UNSPACED}]+"``. The first
part names single ranges after their Unicode blocks, the second combines them into the groups that tokenizer, language
detector, chunker, name matcher and token estimate ask for. `tests/domain/text/test_scripts.py` pins what every group
contains: a character that changes its group changes tokens, and with them `tokenizer.TOKENIZER`.
"""

from __future__ import annotations

# Single ranges, in the order of their code points. A comment names the block; "letters of" says that the range is the
# part of the block that is written in words.
_ASCII_LETTERS = "A-Za-z"
_LATIN_1_TO_COMBINING_MARKS = "\u00a1-\u036f"  # Latin-1 Supplement to Combining Diacritical Marks
_LATIN_LETTERS = "\u00c0-\u024f"  # letters of Latin-1 Supplement, Latin Extended-A, Latin Extended-B
_GREEK = "\u0370-\u03ff"  # Greek and Coptic
_CYRILLIC = "\u0400-\u04ff"  # Cyrillic
_CYRILLIC_SUPPLEMENT = "\u0500-\u052f"  # Cyrillic Supplement
_ARMENIAN_TO_COMBINING_SUPPLEMENT = "\u0530-\u1dff"  # Armenian to Combining Diacritical Marks Supplement
_ARMENIAN_LETTERS = "\u0531-\u058a"  # letters of Armenian
_HEBREW_LETTERS = "\u05d0-\u05ea"  # letters of Hebrew
_ARABIC_LETTERS = "\u0620-\u06ff"  # letters of Arabic
_THAI = "\u0e00-\u0e7f"  # Thai
_THAI_LETTERS = "\u0e01-\u0e5b"  # assigned part of Thai
_LAO = "\u0e80-\u0eff"  # Lao
_TIBETAN = "\u0f00-\u0fff"  # Tibetan
_MYANMAR = "\u1000-\u109f"  # Myanmar
_GEORGIAN = "\u10a0-\u10ff"  # Georgian
_HANGUL_JAMO = "\u1100-\u11ff"  # Hangul Jamo
_KHMER = "\u1780-\u17ff"  # Khmer
_LATIN_ADDITIONAL = "\u1e00-\u1eff"  # Latin Extended Additional
_GREEK_EXTENDED = "\u1f00-\u1fff"  # Greek Extended
_PUNCTUATION = "\u2010-\u205e"  # General Punctuation, without spaces and format characters
_CJK_SYMBOLS_TO_YI = "\u3000-\ua4cf"  # CJK Symbols and Punctuation to Yi Radicals
_ITERATION_MARK = "\u3005"  # 々, of CJK Symbols and Punctuation
_IDEOGRAPHIC_ZERO = "\u3007"  # 〇, of CJK Symbols and Punctuation
_KANA = "\u3040-\u30ff"  # Hiragana, Katakana
_KANA_LETTERS = "\u3041-\u30ff"  # assigned part of Hiragana, Katakana
_HANGUL_COMPATIBILITY_JAMO = "\u3130-\u318f"  # Hangul Compatibility Jamo
_KATAKANA_EXTENSIONS = "\u31f0-\u31ff"  # Katakana Phonetic Extensions
_IDEOGRAPHS_A = "\u3400-\u4dbf"  # CJK Unified Ideographs Extension A
_HEXAGRAMS = "\u4dc0-\u4dff"  # Yijing Hexagram Symbols
_IDEOGRAPHS = "\u4e00-\u9fff"  # CJK Unified Ideographs
_DEVANAGARI_EXTENDED_TO_MEETEI = "\ua8e0-\uabff"  # Devanagari Extended to Meetei Mayek
_HANGUL = "\uac00-\ud7af"  # Hangul Syllables
_IDEOGRAPHS_COMPATIBLE = "\uf900-\ufaff"  # CJK Compatibility Ideographs
_WIDTH_FORMS = "\uff00-\uffef"  # Halfwidth and Fullwidth Forms
_HALFWIDTH_KATAKANA = "\uff66-\uff9f"  # katakana of Halfwidth and Fullwidth Forms
_IDEOGRAPHS_BEYOND = "\U00020000-\U0003134f"  # CJK Unified Ideographs Extension B to Extension G

# Letters by which a language or a family of languages is recognized.
ARABIC = _ARABIC_LETTERS
ARMENIAN = _ARMENIAN_LETTERS
CYRILLIC = _CYRILLIC
GEORGIAN = _GEORGIAN
GREEK = _GREEK + _GREEK_EXTENDED
HAN = _IDEOGRAPHS_A + _IDEOGRAPHS + _IDEOGRAPHS_COMPATIBLE
HEBREW = _HEBREW_LETTERS
JAPANESE = _KANA_LETTERS + _HALFWIDTH_KATAKANA
KOREAN = _HANGUL_JAMO + _HANGUL_COMPATIBILITY_JAMO + _HANGUL
LATIN = _ASCII_LETTERS + _LATIN_LETTERS
THAI = _THAI_LETTERS

COMMON_HAN = _IDEOGRAPHS
"""The ideographs of everyday Chinese."""

_UNSPACED_OF_THE_SOUTH = _THAI + _LAO + _TIBETAN + _MYANMAR + _KHMER
_UNSPACED_OF_THE_EAST = _KANA + _IDEOGRAPHS_A + _IDEOGRAPHS + _HANGUL

UNSPACED = (
    _UNSPACED_OF_THE_SOUTH
    + _ITERATION_MARK
    + _IDEOGRAPHIC_ZERO
    + _UNSPACED_OF_THE_EAST
    + _KATAKANA_EXTENSIONS
    + _IDEOGRAPHS_COMPATIBLE
    + _IDEOGRAPHS_BEYOND
)
"""Scripts that put no space between words, and Korean, whose particles hang on the words: cut into bigrams."""

UNSPACED_NAMES = _ITERATION_MARK + _IDEOGRAPHIC_ZERO + _UNSPACED_OF_THE_EAST + _IDEOGRAPHS_BEYOND
"""Characters of Chinese, Japanese and Korean names in normalized text, where no space tells where a name ends."""

UNSPACED_SPEAKERS = _KANA + _IDEOGRAPHS_A + _HEXAGRAMS + _IDEOGRAPHS
"""Characters by which the name of a speaker is taken for Chinese or Japanese."""

# What tokenizers of language models pack alike, see token_estimate.
TOKENS_ACCENTED = _LATIN_1_TO_COMBINING_MARKS + _LATIN_ADDITIONAL + _PUNCTUATION
TOKENS_GREEK_CYRILLIC = _GREEK + _CYRILLIC + _CYRILLIC_SUPPLEMENT + _GREEK_EXTENDED
TOKENS_OTHER_SCRIPTS = (
    _ARMENIAN_TO_COMBINING_SUPPLEMENT
    + _CJK_SYMBOLS_TO_YI
    + _DEVANAGARI_EXTENDED_TO_MEETEI
    + _HANGUL
    + _IDEOGRAPHS_COMPATIBLE
    + _WIDTH_FORMS
)

TOKENS_WHOLE = _UNSPACED_OF_THE_SOUTH + _UNSPACED_OF_THE_EAST
"""Characters that count as a token each in an average."""
