"""A text as a row of tokens: numbers and keys by pattern, words by the lexicon. Linear in the text's length, whatever it holds."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from gridtone_engine.text.lexicon import Entry, lexicon

_CHINESE_DIGITS = {character: value for value, characters in enumerate(["零〇", "一", "二两", *"三四五六七八九"]) for character in characters}
_ENGLISH_NUMBERS = {
    **{word: value for value, word in enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], start=1)},
    **{word: value * 10 for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred"], start=2)},
}

# Every repetition below is bounded: no text can make a match slow.
_NUMBER_WORD = f"(?:{'|'.join(sorted(_ENGLISH_NUMBERS, key=len, reverse=True))})"
_N = rf"(?:\d{{1,4}}(?:\.\d{{1,2}})?|[零〇一二两三四五六七八九十百]{{1,6}}|(?:an?\s)?{_NUMBER_WORD}(?:[\s-](?:and\s)?{_NUMBER_WORD}){{0,3}})"
_AT_MOST = "|".join(
    (
        r"at most|(?:at )?max(?:imum)?\.?(?: of)?|under|below|up to|(?:no|not) (?:more|faster|higher|quicker) than|less than|slower than",
        "不超过|不要超过|别超过|最多|最快|不高于|低于|小于|不快于",
    )
)
_AT_LEAST = "|".join(
    (
        r"at least|(?:at )?min(?:imum)?\.?(?: of)?|over|above|(?:no|not) (?:less|slower|lower) than|more than|faster than",
        "不低于|不要低于|至少|最慢|高于|超过|不少于|不慢于",
    )
)
_ABOUT = r"about|around|approximately|approx\.?|roughly|circa|ca\.?|between|from|of|is|at|=|:|~|大约|大概|约|为|是|在|到|设为"
_UNIT = r"(?:b\.?p\.?m\b\.?|beats? ?(?:per|an?|/) ?min(?:ute)?|拍(?:每分钟?|/分钟?)?(?!子))"
_TEMPO = (
    r"(?P<prefix>(?:tempo|bpm|speed|节奏|速度|每分钟?|一分钟|[♩♪] ?=?)\s{0,3})?"
    rf"(?:(?P<most>{_AT_MOST})|(?P<least>{_AT_LEAST}))?\s{{0,3}}(?:(?:{_ABOUT})\s{{0,3}}){{0,2}}"
    rf"(?P<low>{_N})\s{{0,3}}(?:(?:-|–|—|~|to|and|到|至)\s{{0,3}}(?P<high>{_N})\s{{0,3}})?(?P<unit>{_UNIT})?"
    r"\s?(?:(?P<or_less>or (?:less|below|slower)|以下|以内)|(?P<or_more>or (?:more|above|faster)|以上))?"
)
_DURATION = r"\d{1,5}(?:\.\d{1,2})?[\s-]{0,2}(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|ms|s\b|h\b|秒钟?|分钟|小时)"
_SCALE_NAME = "|".join(phrase for phrase, entry in lexicon().entries.items() if entry.kind == "scale_name")
_SCALE = (
    rf"(?P<scale>{_SCALE_NAME})\s{{0,3}}(?:level|is|of|at|=|:|为|是)?\s{{0,3}}"
    r"(?P<value>\d{1,3}(?:\.\d{1,3})?)(?P<percent>\s?%)?(?!\d)"
)
_MODES = {
    "major": ("major", "maj", "dur", "ionian", "大调", "大调式", "伊奥尼亚"),
    "minor": (
        "minor",
        "min",
        "moll",
        "aeolian",
        "harmonic minor",
        "melodic minor",
        "natural minor",
        "小调",
        "小调式",
        "爱奥利亚",
        "和声小调",
        "旋律小调",
        "自然小调",
    ),
    "dorian": ("dorian", "多利亚", "多里亚"),
    "phrygian": ("phrygian", "弗里几亚", "弗利吉亚", "弗里吉亚"),
    "lydian": ("lydian", "利底亚", "吕底亚"),
    "mixolydian": ("mixolydian", "混合利底亚", "米索利底亚"),
}
_MODE_OF = {phrase: mode for mode, phrases in _MODES.items() for phrase in phrases}
_MODE = "(?:" + "|".join(sorted(_MODE_OF, key=len, reverse=True)) + ")"
_KEY = (
    r"(?:(?P<explicit>(?:in the |the )?key(?: of |: ?| )|调性(?:为|是|:)? ?|in )?(?P<sign>升|降|#|♯|♭)?(?P<tonic>[a-g])"
    r"(?P<accidental>#|♯|b(?![a-z])|♭|升|降|[\s-]?(?:sharp|flat)(?![a-z]))?"
    rf"(?:[\s-]{{0,2}}(?P<mode>{_MODE})|(?P<of>调)|(?![a-z0-9'])))(?:调式|调)?(?![a-z])"
)
_MODE_ALONE = "".join(
    (
        rf"(?P<alone>{_MODE})(?:[\s-]?(?:key|mode|scale|tonality|chords?|harmony|harmonies|mood|feel|feeling|调式|调)",
        r"|(?=\s{0,3}(?:$|[^\sa-z]|and\b|but\b|with\b)))",
    )
)
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in {"duration": _DURATION, "scale": _SCALE, "key": _KEY, "mode": _MODE_ALONE, "tempo": _TEMPO}.items()}
_PIECE = re.compile(
    r"(?P<latin>[a-z\u00c0-\u024f][a-z\u00c0-\u024f']*)|(?P<chinese>[\u3400-\u9fff])|(?P<space>[\s\-_\u200b\ufeff\x00-\x1f\x7f]+)"
    r"|(?P<comma>[,，])|(?P<break>[.;:!?。；：！？…()（）\[\]【】「」《》\"“”|]+)|(?P<other>\d+(?:\.\d+)?|[^\W\d_a-z\u00c0-\u024f\u3400-\u9fff]+|.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A stretch of the text with one role."""

    kind: str
    """A kind of lexicon entry, or `tempo`, `at_most`, `at_least`, `key`, `mode`, `scale`, `duration`, `comma`, `break`, `unknown`."""
    start: int
    end: int
    name: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    entry: Entry | None = None
    negated: bool = False
    """The word says so itself: `drumless`."""


@cache
def _folded(character: str) -> str:
    for folded in (unicodedata.normalize("NFKC", character).lower(), character.lower()):
        if len(folded) == 1:
            return "'" if folded in "’‘`" else folded
    return character


def fold(text: str) -> str:
    """Lower case, full-width letters and digits as plain ones; every character keeps its place."""
    return "".join(map(_folded, text))


def _number(text: str) -> float:
    if text[0].isdigit():
        return float(text)
    if text[0] in _CHINESE_DIGITS or text[0] in "十百":
        total = digit = 0
        for character in text:
            if unit := {"十": 10, "百": 100}.get(character):
                total, digit = total + max(digit, 1) * unit, 0
            else:
                digit = _CHINESE_DIGITS[character]
        return float(total + (10 * digit if text[-2:-1] == "百" else digit))  # 一百二 is 120, 一百零二 is 102
    numbers = [_ENGLISH_NUMBERS[word] for word in re.findall("[a-z]+", text) if word in _ENGLISH_NUMBERS]
    if 100 in numbers:
        place = numbers.index(100)
        numbers = [100 * (numbers[place - 1] if place and numbers[place - 1] < 10 else 1), *numbers[place + 1 :]]
    return float(sum(numbers))


def _tempo(match: re.Match[str]) -> Token | None:
    if not (match["prefix"] or match["unit"]):
        return None
    low = _number(match["low"])
    bpm = (low + _number(match["high"])) / 2 if match["high"] else low
    kind = "at_most" if match["most"] or match["or_less"] else "at_least" if match["least"] or match["or_more"] else "tempo"
    return Token(kind, match.start(), match.end(), f"{bpm:g} bpm", {"tempo_bpm": bpm})


def _scale(match: re.Match[str]) -> Token | None:
    value = float(match["value"]) / (100 if match["percent"] else 1)
    name = lexicon().entries[match["scale"]].name
    return Token("scale", match.start(), match.end(), f"{name} {value:g}", {name: value}) if value <= 1 else None


def _key(match: re.Match[str], text: str) -> Token | None:
    written = text[match.start("tonic")]  # as it is: "A" is a tonic where "a" is a word
    mode = match["mode"]
    if mode is None and not match["of"] and (match["explicit"] in (None, "in ") or match["sign"]):
        return None  # "in a", "a" and "b" are words; "key of a" is a key
    article = written in "aａ" and mode is not None and match["explicit"] is None and not match["accidental"]
    if article and re.match(r"\s?(?:key|mode|scale|chord|mood|feel|tone|tonality)", fold(text[match.end() : match.end() + 12])):
        return None  # "a minor key" speaks of minor, "A minor" of A
    sign = (match["sign"] or match["accidental"] or "").strip(" -")
    accidental = "#" if sign in ("#", "♯", "升", "sharp") else "b" if sign else ""
    name = f"{match['tonic'].upper()}{accidental} {_MODE_OF[mode] if mode else 'major'}"
    return Token("key", match.start(), match.end(), name)


def _pattern_at(text: str, folded: str, position: int) -> Token | None:
    for kind, pattern in _PATTERNS.items():
        if match := pattern.match(folded, position):
            token = {
                "duration": lambda m: Token("duration", m.start(), m.end()),
                "scale": _scale,
                "key": lambda m: _key(m, text),
                "mode": lambda m: Token("mode", m.start(), m.end(), _MODE_OF[m["alone"]]),
                "tempo": _tempo,
            }[kind](match)
            if token:
                return replace(token, end=position + len(folded[position : token.end].rstrip()))
    return None


def _longest_entry(folded: str, piece: re.Match[str]) -> Token | None:
    """The longest phrase of the lexicon that begins with this piece."""
    table, ends, phrase = lexicon(), [], ""
    if piece.lastgroup == "latin":
        end, separator = piece.end(), ""
        for _ in range(table.longest_words):
            word = _PIECE.match(folded, end) if separator else piece
            if not word or word.lastgroup != "latin":
                break
            phrase, end = f"{phrase}{separator}{word.group()}", word.end()
            ends.append((phrase, end))
            separator = " "
            if folded[end : end + 1] not in (" ", "-"):
                break
            end += 1
    else:
        start = piece.start()
        ends = [(folded[start : start + n], start + n) for n in range(1, table.longest_characters + 1) if start + n <= len(folded)]
    for phrase, end in reversed(ends):
        if found := table.look_up(phrase):
            entry, negated = found
            return Token(entry.kind, piece.start(), end, entry.name, entry.values, entry, negated)
    return None


def scan(text: str) -> list[Token]:
    """The tokens of a text in order; spaces between them carry nothing and have no token."""
    folded, tokens, position = fold(text), [], 0
    while piece := _PIECE.match(folded, position):
        token = None
        if piece.lastgroup != "space":
            at_word_start = not (position and folded[position - 1].isascii() and folded[position - 1].isalnum())
            token = (_pattern_at(text, folded, position) if at_word_start else None) or _longest_entry(folded, piece)
            token = token or Token(piece.lastgroup if piece.lastgroup in ("comma", "break") else "unknown", piece.start(), piece.end())
            tokens.append(token)
        position = token.end if token else piece.end()
    return tokens
