"""Captions of a piece, in English and Chinese: every claim in them is true of the piece, and they never say everything."""

from dataclasses import replace
from functools import cache
from zlib import crc32

import numpy as np

from gridtone_engine.prompt import INSTRUMENTS, Attributes
from gridtone_engine.text.lexicon import SCALES, lexicon

Span = tuple[float, float]
Phrases = tuple[str, ...]
LANGUAGES = ("en", "zh")
NAMES_ZH = "钢琴 电钢琴 钢片琴 颤音琴 马林巴 吉他 竖琴 弦乐 大提琴 长笛 单簧管 温暖的铺底 玻璃铺底 钟声 贝斯 打击乐"
INSTRUMENTS_ZH = dict(zip(INSTRUMENTS, NAMES_ZH.split(), strict=True))
NUMBERS: dict[str, Phrases] = {
    "en": ("{} bpm", "{} beats per minute", "at {} bpm", "tempo {}", "around {} bpm", "tempo of {} bpm", "a pulse of {} beats a minute"),
    "zh": ("{} bpm", "每分钟{}拍", "速度{}", "大约{} bpm", "每分钟 {} 拍左右", "速度为{} bpm"),
}
KEYS: dict[str, Phrases] = {"en": ("in {}", "{}", "key of {}", "written in {}", "the key is {}"), "zh": ("{}", "{} 调性", "调性为 {}", "用 {} 写成")}
WITH: dict[str, Phrases] = {"en": ("{}", "with {}", "featuring {}", "played by {}", "mostly {}"), "zh": ("{}", "有{}", "由{}演奏", "以{}为主")}
WITHOUT: dict[str, Phrases] = {"en": ("no {}", "without {}", "avoid {}", "leave out {}"), "zh": ("不要{}", "没有{}", "不含{}", "去掉{}")}
MOOD: dict[str, Phrases] = {"en": ("{}", "{} music", "feels {}", "something {}", "a {} mood"), "zh": ("{}", "{}的音乐", "{}的氛围", "听起来{}", "想要{}的感觉")}
LEVELS: dict[str, tuple[tuple[Span, Phrases, Phrases], ...]] = {
    "tempo_bpm": (
        ((30, 70), ("slow", "unhurried", "adagio", "very slow and patient"), ("缓慢", "慢板", "慢节奏", "徐缓")),
        ((30, 84), ("not fast", "never hurried", "not rushed", "don't make it fast"), ("不快", "不要太快", "别太急促", "速度不快")),
        ((86, 106), ("moderate tempo", "mid tempo", "medium pace", "moderato"), ("中速", "速度适中", "中板", "不快不慢")),
        ((92, 200), ("not slow", "nothing slow", "never dragging, not slow"), ("不慢", "不要太慢", "别太缓慢")),
        ((120, 200), ("fast", "quick", "fast paced", "allegro"), ("快速", "快节奏", "快板", "速度快")),
    ),
    "energy": (
        ((0, 0.15), ("still", "almost silent", "motionless", "barely there"), ("静止", "静谧", "几乎无声", "寂静")),
        ((0, 0.35), ("low energy", "gentle", "soft", "subdued"), ("轻柔", "安静", "低能量", "舒缓")),
        ((0, 0.4), ("not loud", "nothing energetic", "not intense"), ("不强烈", "不要激烈", "不吵闹")),
        ((0.4, 0.6), ("medium energy", "moderate intensity", "balanced"), ("中等能量", "中等强度", "均衡")),
        ((0.7, 1), ("energetic", "powerful", "driving", "high energy"), ("强劲", "高能量", "充满活力", "激昂")),
    ),
    "brightness": (
        ((0, 0.3), ("dark", "muted", "mellow", "low pitched"), ("低沉", "昏暗", "暗", "低亮度")),
        ((0, 0.4), ("not bright", "nothing shrill", "not sharp"), ("不明亮", "不刺耳", "不要尖锐")),
        ((0.6, 1), ("not dark", "not dull", "never muffled"), ("不暗", "不沉闷", "不要低沉")),
        ((0.7, 1), ("bright", "sparkling", "crisp", "luminous"), ("明亮", "清脆", "清澈", "晶莹")),
    ),
    "density": (
        ((0, 0.3), ("sparse", "minimal", "few notes", "uncluttered"), ("稀疏", "极简", "留白", "音符少")),
        ((0, 0.4), ("not busy", "nothing dense", "not crowded"), ("不密集", "不拥挤", "不要太复杂")),
        ((0.7, 1), ("dense", "busy", "many notes", "layered"), ("密集", "丰富", "饱满", "音符多")),
    ),
}
"""Attribute -> (range in which the words are true, English, Chinese)."""
SPREAD = {"tempo_bpm": 40.0, "energy": 0.3, "brightness": 0.3, "density": 0.3}


def is_held_out(phrase: str) -> bool:
    """Whether a phrase is kept from training: about one in six, by its own name, so that it stays so."""
    return crc32(phrase.encode()) % 6 == 0


def caption(played: Attributes, nameable: tuple[str, ...], language: str, rng: np.random.Generator, *, held_out: bool = False) -> tuple[str, Attributes]:
    """A caption of music whose attributes are all known, and what it says: attributes it does not speak of are None or empty.

    `nameable` are the instruments that play and sound like their name. With `held_out`, phrases that training never meets.
    """
    said = Attributes()
    parts: list[str] = []

    def pick(phrases: Phrases) -> str:
        kept = [phrase for phrase in phrases if is_held_out(phrase) == held_out] or list(phrases)
        return kept[int(rng.integers(len(kept)))]

    if rng.random() < 0.7:
        parts.append(pick(MOOD[language]).format(pick(_moods(_nearest_mood(played), language))))
    for attribute in SCALES:
        value = getattr(played, attribute)
        if attribute == "tempo_bpm" and rng.random() < 0.45:
            parts.append(pick(NUMBERS[language]).format(round(value)))
        elif rng.random() < 0.35 and (true := [phrases for (low, high), *phrases in LEVELS[attribute] if low <= value <= high]):
            parts.append(pick(true[int(rng.integers(len(true)))][LANGUAGES.index(language)]))
        else:
            continue
        said = replace(said, **{attribute: value})
    if rng.random() < 0.35:
        parts.append(pick(KEYS[language]).format(played.key))
        said = replace(said, key=played.key)
    if nameable and rng.random() < 0.6:
        named = tuple(str(name) for name in rng.choice(nameable, size=int(rng.integers(1, min(3, len(nameable)) + 1)), replace=False))
        parts.append(pick(WITH[language]).format(_listed(named, language)))
        said = replace(said, instruments=named)
    absent = [name for name in INSTRUMENTS if name not in played.instruments]
    if absent and rng.random() < 0.25:
        unwanted = str(rng.choice(absent))
        parts.append(pick(WITHOUT[language]).format(_listed((unwanted,), language)))
        said = replace(said, without=(unwanted,))
    order = rng.permutation(len(parts))
    return (", " if language == "en" else "，").join(parts[index] for index in order), said


def _listed(names: tuple[str, ...], language: str) -> str:
    if language == "zh":
        return "和".join(INSTRUMENTS_ZH[name] for name in names)
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _nearest_mood(played: Attributes) -> str:
    """The mood of the table whose attributes lie nearest to the music's."""

    def distance(values: dict[str, float]) -> float:
        return sum(((getattr(played, scale) - value) / SPREAD[scale]) ** 2 for scale, value in values.items())

    return min(lexicon().moods, key=lambda mood: distance(dict(lexicon().moods[mood])))


@cache
def _moods(mood: str, language: str) -> Phrases:
    return tuple(phrase for phrase in lexicon().anchors[mood] if phrase.isascii() == (language == "en"))
