"""Topics, values, times and qualities: what is understood, and that nothing that arrives can do harm."""

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtone_adapters import MqttTopic, Quality, Reading
from gridtone_adapters.conventions import Conventions, Interpreter, Unreadable
from gridtone_adapters.payloads import TopicReader
from gridtone_adapters.topics import parse_topic

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("pattern", "mqtt_filter", "topic", "captured"),
    [
        ("grid/{element}/{id}/{quantity}", "grid/+/+/+", "grid/line/HV-1/p", {"element": "line", "id": "HV-1", "quantity": "p"}),
        ("{rest...}", "#", "a/b", {"rest": "a/b"}),
        ("grid/{rest...}", "grid/#", "grid/a/b", {"rest": "a/b"}),
        ("bay-{n}/{name}.value", "+/+", "bay-7/U.L1.value", {"n": "7", "name": "U.L1"}),
        ("/{a}/+/x", "/+/+/x", "/1/2/x", {"a": "1"}),
        ("grid/#", "grid/#", "grid", {}),
        ("#", "#", "any/thing", {}),
        ("站/{设备}", "站/+", "站/变压器", {"设备": "变压器"}),
    ],
)
def test_topic_patterns(pattern, mqtt_filter, topic, captured):
    parsed = parse_topic(pattern)
    assert parsed.filter == mqtt_filter
    assert parsed.regex.fullmatch(topic).groupdict() == captured


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("", "empty"),
        ("a/{b", "cannot read"),
        ("a/#/b", "must come last"),
        ("{a...}/b", "must come last"),
        ("{a}/{a}", "redefinition"),
        ("a+/b", "cannot read"),
        ("$share/g/a", "share_group"),
        ("a/{1b}", "cannot read"),
    ],
)
def test_bad_topic_patterns_are_explained(pattern, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_topic(pattern)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"topic": "a/{b}", "point": "{c}"}, "{c}, which nothing captures; there is {b}"),
        ({"topic": "a/{b}", "point": "{b"}, "braces"),
        ({"topic": "a/{b}", "point": "{b}", "payload": "number", "time_path": "t"}, "payload: json"),
        ({"topic": "a/{b}", "point": "{b}", "vlaue_path": "t"}, "vlaue_path"),
    ],
)
def test_bad_mappings_are_explained(settings, complaint):
    with pytest.raises(ValidationError) as refused:
        MqttTopic.model_validate(settings)
    assert complaint in str(refused.value)


segment = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/+#\0"), min_size=1)


@given(segment, segment, segment)
def test_every_topic_gives_back_what_it_was_made_of(element, name, quantity):
    match = parse_topic("grid/{element}/{id}/{quantity}").regex.fullmatch(f"grid/{element}/{name}/{quantity}")
    assert match and tuple(match.groupdict().values()) == (element, name, quantity)


@pytest.mark.parametrize(
    ("form", "raw"),
    [
        ("auto", NOW),
        ("auto", NOW * 1e3),
        ("auto", NOW * 1e6),
        ("auto", int(NOW * 1e9)),
        ("auto", str(int(NOW))),
        ("auto", "2027-01-15T08:00:00Z"),
        ("auto", "2027-01-15 08:00:00"),
        ("auto", "2027-01-15T16:00:00.000000000+08:00"),
        ("s", NOW),
        ("ms", NOW * 1e3),
        ("us", NOW * 1e6),
        ("ns", str(int(NOW * 1e9))),
        ("iso8601", "2027-01-15T03:00:00-05:00"),
        ("iso8601", "20270115T080000Z"),
    ],
)
def test_times(form, raw):
    assert Interpreter(Conventions(time_format=form)).time(raw, NOW) == pytest.approx(NOW)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (-1, "absurd_time"),
        (0, "absurd_time"),
        (NOW + 301, "absurd_time"),
        ("1989-12-31", "absurd_time"),
        ("9999-12-31T23:59:59Z", "absurd_time"),
        ("20240101", "absurd_time"),
        (math.nan, "bad_time"),
        (math.inf, "bad_time"),
        (True, "bad_time"),
        (None, "bad_time"),
        ("", "bad_time"),
        ("now", "bad_time"),
        ([1], "bad_time"),
        ("0001-01-01T00:00:00+23:00", "absurd_time"),
        (10**400, "bad_time"),
    ],
)
def test_times_that_are_refused(raw, reason):
    with pytest.raises(Unreadable) as refused:
        Interpreter(Conventions()).time(raw, NOW)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("settings", "raw", "quality"),
    [
        ({}, None, "GOOD"),
        ({}, "Good", "GOOD"),
        ({}, "Good_LocalOverride", "GOOD"),
        ({}, "UncertainLastUsableValue", "UNCERTAIN"),
        ({}, "Bad_NotConnected", "BAD"),
        ({}, "questionable", "UNCERTAIN"),
        ({}, True, "GOOD"),
        ({}, False, "BAD"),
        ({"quality_words": {True: "bad", False: "good"}}, True, "BAD"),
        ({"quality_words": {3: "uncertain"}}, 3.0, "UNCERTAIN"),
        ({"quality_numbers": "opc_da"}, 192, "GOOD"),
        ({"quality_numbers": "opc_da"}, 216, "GOOD"),
        ({"quality_numbers": "opc_da"}, 64, "UNCERTAIN"),
        ({"quality_numbers": "opc_da"}, 0, "BAD"),
        ({"quality_numbers": "opc_ua"}, 0, "GOOD"),
        ({"quality_numbers": "opc_ua"}, 0x40920000, "UNCERTAIN"),
        ({"quality_numbers": "opc_ua"}, 0x80050000, "BAD"),
    ],
)
def test_qualities(settings, raw, quality):
    assert Interpreter(Conventions.model_validate(settings)).quality(raw) is Quality[quality]


@pytest.mark.parametrize("raw", ["fine", 7, 192, -1, 2**40, pytest.param(10**5000, id="huge"), 1.5, [], {}, ""])
def test_a_quality_that_nobody_explained_is_refused(raw):
    with pytest.raises(Unreadable, match="unknown_quality"):
        Interpreter(Conventions()).quality(raw)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["value", "time", "q", "0"]) | st.text(), inner),
)
payloads = (
    st.binary()
    | anything.map(lambda content: json.dumps(content).encode())
    | st.text().map(str.encode)
    | st.integers(1, 3000).map(lambda depth: b'{"value":' * depth)
)
mappings = st.sampled_from(
    [
        {"time_path": "time", "quality_path": "q", "unit_path": "value"},
        {"value_path": "", "quality_numbers": "opc_da", "quality_path": "0"},
        {"values": {"value": "a", "time.0": "b", "q": "c"}, "words": {"": 1}},
        {"payload": "number"},
    ]
)


@given(payloads, mappings, st.booleans())
def test_no_payload_raises_or_makes_an_unsound_reading(payload, mapping, retained):
    reader = TopicReader(MqttTopic.model_validate({"topic": "{p}", "point": "{p}"} | mapping)).for_topic("x")
    refused = []
    try:
        readings = reader.read(payload, NOW, retained, refused.append)
    except Unreadable as error:
        assert error.reason in {"not_json", "not_utf8", "empty", "missing_value", "not_a_number", "not_finite", "bad_time", "absurd_time", "unknown_quality"}
        return
    for reading in readings:
        assert isinstance(reading, Reading)
        assert math.isfinite(reading.value)
        assert isinstance(reading.quality, Quality)
        assert isinstance(reading.unit, str)
        assert reading.time == 0.0 or 0 < reading.time <= NOW + 300


def test_a_reading_costs_no_look_up_twice():
    """A topic is matched once; afterwards its reader is at hand."""
    reader = TopicReader(MqttTopic(topic="a/{b}", point="{b}"))
    assert reader.for_topic("c/x") is None
    assert reader.for_topic("a/x").read(b'{"value": 1}', time.time(), False, print)[0].point == "x"
