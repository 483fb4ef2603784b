"""Expressions: what they come to, what they refuse, how they stand in an explanation; and any text, any values, without a crash."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtone.documents import DocumentError, parse_document
from gridtone.proving.check import check_file
from gridtone.proving.telling import explained
from gridtone.rules import NO_DATA, Evaluator, Rules
from gridtone.rules.explanation import explain
from gridtone.rules.expression import LARGEST, Expression, read_expression
from gridtone_adapters import Quality, Reading

RULES = """gridtone: 1
signals:
  load: {of: grid/load_mw, unit: MW}
  capacity: {of: generator/*/available_mw, take: sum, unit: MW}
  reserve:
    expression: 100 * (capacity - load) / load
    unit: "%"
    title: {en: reserve, zh: 备用}
states:
  short:
    when: reserve < 10 %
    clear: reserve > 12 %
    prompt: calm
  day: {prompt: steady}
fallback: day
"""


def values(**given: float | None) -> dict[str, float | None]:
    return dict.fromkeys("abc") | given


def reading(point: str, value: float, time: float) -> Reading:
    return Reading(point, value, time, "", Quality.GOOD)


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("a + b * 2 - c / 4", {"a": 1, "b": 2, "c": 8}, 3),
        ("a - b - c", {"a": 10, "b": 3, "c": 2}, 5),
        ("a / b / c", {"a": 12, "b": 3, "c": 2}, 2),
        ("-a * -(b + 1)", {"a": 2, "b": 3}, 8),
        ("a-1", {"a": 3}, 2),
        ("sqrt(a * a + b * b)", {"a": 3, "b": 4}, 5),
        ("max(a, b, c) - min(a, b, c) + abs(a)", {"a": -1, "b": 5, "c": 3}, 7),
        ("1 if a > b else 0", {"a": 2, "b": 1}, 1),
        ("1 if a > 3 else 2 if a > 2 else 3", {"a": 2.5}, 2),
        ("1 if 0 < a < 2 and not b == 1 or c > 9 else 0", {"a": 1, "b": 0, "c": 0}, 1),
        ("2.5e1 + .5 + a", {"a": 0}, 25.5),
        # unknown
        ("a + b", {"a": 1}, None),
        ("max(a, b)", {"a": 1}, None),
        ("0 * a", {}, None),
        ("1 if a > 0 else b", {"a": 1}, 1),
        ("1 if a > 0 else b", {"a": 0}, None),
        ("1 if a > 0 else 2", {}, None),
        ("1 if a > 0 or b > 0 else 2", {"a": 1}, 1),
        ("1 if a > 0 and b > 0 else 2", {"a": 0}, 2),
        ("1 if a > 0 and b > 0 else 2", {"a": 1}, None),
        ("a if known(a) else 7", {}, 7),
        ("1 if known(a / b) else 0", {"a": 1, "b": 0}, 0),
        # no value
        ("a / b", {"a": 1, "b": 0}, None),
        ("a / b", {"a": 0, "b": 0}, None),
        ("sqrt(a)", {"a": -1}, None),
        ("a * a * a", {"a": 1e90}, None),
    ],
)
def test_what_an_expression_comes_to(text: str, given: dict[str, float], expected: float | None):
    assert read_expression(text).value(values(**given)) == expected


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a +", 4, "expected a signal or a number, found the end"),
        ("a b", 3, "`b` is not expected here; write an operator before it"),
        ("(a + b", 1, "this `(` is never closed"),
        ("a)", 2, "`)` is not expected here"),
        ("a ** 2", 3, "`**` is not known in an expression; there are no powers: write `a * a`"),
        ("a ^ 9", 3, "there are no powers"),
        ("100 % a", 5, "numbers have no unit here"),
        ("a && b", 3, "did you mean `and`?"),
        ("a = b", 3, "`=` is not known in an expression; did you mean `==`?"),
        ("a > b", 1, "a number is needed here, but this is true or false; write such as `1 if a > b else 0`"),
        ("1 + (a > b)", 5, "a number is needed here, but this is true or false"),
        ("1 if a else 2", 6, "true or false is needed here, but this is a number; compare it"),
        ("a and b > 1", 1, "true or false is needed here"),
        ("a if a > 1", 11, "`else` is missing before the end"),
        ("a if a > 1 else b > 2", 17, "one side of `else` is a number, the other a truth value"),
        ("maxx(a, b)", 1, "`maxx` is not a function; did you mean `max`?"),
        ("max(a)", 1, "`max` takes 2 to 20 numbers, not 1"),
        ("sqrt(a, b)", 1, "`sqrt` takes 1 number, not 2"),
        ("a + max", 5, "`max` is a function"),
        ("a + __import__('os')", 5, "`__import__` is not a function"),
        ("a.__class__", 2, "a signal is named without dots"),
        ("a + 'x'", 5, "there is no text in expressions"),
        ("a =~ '(a+)+$'", 3, "`=` is not known in an expression"),
        ("[a for a in b]", 1, "expected a signal or a number, found `[`"),
        ("lambda: a", 7, "`:` is not expected here"),
        ("1e999 * a", 1, "`1e999` is too large"),
        ("1 + 2", 1, "`1 + 2` names no signal"),
        ("5", 1, "`5` names no signal"),
        ("", 1, "expected a signal or a number, found the end"),
        ("(" * 25 + "a" + ")" * 25, 22, "nested too deeply; at most 20 levels"),
        ("-" * 25 + "a", 22, "nested too deeply"),
        ("a + " * 600 + "a", 1, "an expression of 2401 characters; at most 2000"),
    ],
)
def test_what_is_wrong_is_said_at_its_character(text: str, column: int, message: str):
    with pytest.raises(ValidationError) as caught:
        read_expression(text)
    [error] = caught.value.errors()
    fix = error["ctx"]["fix"]
    assert message in error["msg"] + (f"; {fix}" if fix else "")
    assert error["ctx"]["offset"] + 1 == column


@pytest.mark.parametrize(
    ("signal", "problem"),
    [
        ("expression: capcity - load", "6:19: `capcity` is not a signal; did you mean `capacity`?"),
        ("expression: load - x", "6:26: `x` is this signal itself; name the signals that it is made of"),
        ("expression: 2 * reserve", "6:23: `reserve` is an expression itself; write out here what it is made of"),
        ("of: grid/x, expression: load", "6:7: `of` means nothing to an expression; delete one of the two"),
        ("expression: load, stale_after: 5s", "6:25: `stale_after` means nothing to an expression; delete one of the two"),
        ("unit: MW", "6:3: the signal says neither `of` nor `expression`; add `of:`"),
        ("expression: [load]", "6:19: `['load']` is not an expression"),
        ("expression: true", "6:19: `True` is not an expression"),
    ],
)  # fmt: skip
def test_mistakes_have_a_line_and_a_column_in_the_file(signal: str, problem: str):
    text = f"""gridtone: 1
signals:
  load: {{of: grid/load_mw}}
  capacity: {{of: grid/capacity_mw}}
  reserve: {{expression: capacity - load}}
  x: {{{signal}}}
states: {{day: {{prompt: steady}}}}
fallback: day
"""
    with pytest.raises(DocumentError) as caught:
        parse_document(text, Rules)
    assert f"<text>:{problem}" in str(caught.value)


def test_a_state_follows_an_expression_and_says_why():
    evaluator = Evaluator(parse_document(RULES, Rules), 0)
    evaluator.ingest([reading("grid/load_mw", 100, 0), reading("generator/A/available_mw", 70, 0)], 0)
    assert evaluator.active == "short"
    evaluator.ingest([reading("generator/B/available_mw", 45, 1)], 1)
    assert evaluator.active == "day"
    standing = evaluator.ingest([reading("grid/load_mw", 105, 2)], 2)
    assert standing is not None and standing.state == "short"
    assert standing.reason["en"] == "reserve is 9.524 %, below 10 %"
    assert standing.reason["zh"] == "备用为 9.524 %，低于 10 %"
    assert [signal.name for signal in standing.signals] == ["reserve", "capacity", "load"]
    [comparison] = standing.comparisons
    assert comparison.margin == pytest.approx(10 - 100 * 10 / 105)

    evaluator.ingest([reading("grid/load_mw", 103, 3)], 3)
    assert "not cleared yet: reserve is 11.65 %" in evaluator.standing(3).reason["en"]
    lines = list(explained(explain(evaluator, 4)))
    assert "  reserve: 11.6505 %, 3s old = 100 * (capacity - load) / load" in lines, "as old as the oldest that it is made of"


def test_what_an_expression_is_made_of_goes_stale_and_the_state_with_it():
    evaluator = Evaluator(parse_document(RULES, Rules), 0)
    evaluator.ingest([reading("grid/load_mw", 100, 0), reading("generator/A/available_mw", 150, 0)], 0)
    assert evaluator.active == "day"
    evaluator.ingest([reading("generator/A/available_mw", 150, 50)], 50)
    standing = evaluator.tick(60)
    assert standing is not None and standing.state == NO_DATA
    assert standing.reason["en"] == "no current data for load: last reading 60 s ago (limit 60 s)"
    standing = evaluator.ingest([reading("grid/load_mw", 0, 61)], 61)
    assert standing is None, "nothing divided by nothing is unknown"
    assert evaluator.standing(61).reason["en"] == "reserve has no value: 100 * (capacity - load) / load"


def test_new_rules_bring_new_expressions_and_points_keep_their_readings():
    evaluator = Evaluator(parse_document(RULES, Rules), 0)
    evaluator.ingest([reading("grid/load_mw", 100, 0), reading("generator/A/available_mw", 115, 0)], 0)
    assert evaluator.active == "day"
    evaluator.swap(parse_document(RULES.replace("100 *", "50 *"), Rules), 1)
    assert evaluator.active == "short"
    evaluator.ingest([reading("generator/A/available_mw", 130, 2)], 2)
    assert evaluator.active == "day"


def test_rules_with_expressions_can_be_written_out_as_json():
    dumped = parse_document(RULES, Rules).model_dump(mode="json")
    assert dumped["signals"]["reserve"]["expression"] == "100 * (capacity - load) / load"


def test_check_counts_what_an_expression_names_as_used(tmp_path: Path):
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    assert check_file(file).warnings == ()
    file.write_text(RULES.replace("100 * (capacity - load) / load", "100 * load"))
    [warning] = check_file(file).warnings
    assert "no state uses the signal `capacity`" in warning.message


# Any expression, against Python's own arithmetic on the same text.

NUMBERS = st.sampled_from(["0", "1", "2.5", "1e50", ".5"])
NAMES = st.sampled_from(["a", "b", "c"])


def numbers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        st.builds("{} {} {} {} {}".format, NAMES, st.sampled_from("+-"), NAMES, st.sampled_from("*/"), inner),
        st.builds("{}({})".format, st.sampled_from(["abs", "sqrt"]), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("-({})".format, inner),
        st.builds("({} if {} else {})".format, inner, truths(inner), inner),
    )


def truths(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    compared = st.builds("{} {} {}".format, inner, st.sampled_from([">", ">=", "<", "<=", "==", "!="]), inner)
    return st.one_of(
        compared,
        st.builds("{} < {} <= {}".format, inner, inner, inner),
        st.builds("not ({})".format, compared),
        st.builds("({}) {} ({})".format, compared, st.sampled_from(["and", "or"]), compared),
    )


EXPRESSIONS = st.recursive(NAMES | NUMBERS, numbers, max_leaves=8).filter(lambda text: len(text) < 400)


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, st.tuples(*[st.sampled_from([-3.0, 0.0, 0.5, 1.0, 2.5, 1e60])] * 3))
def test_with_all_values_known_it_comes_to_what_python_makes_of_it(text: str, given: tuple[float, ...]):
    known = dict(zip("abc", given, strict=True))
    try:
        found = read_expression(f"{text} + 0 * a").value(values(**known))
    except ValidationError as error:
        assert "nested too deeply" in str(error)
        return
    if found is not None:
        expected = eval(text, {"__builtins__": {}, "sqrt": math.sqrt, "abs": abs, "min": min, "max": max}, known)
        assert found == pytest.approx(expected)
        assert abs(found) <= LARGEST


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, st.tuples(*[st.sampled_from([None, -3.0, 0.0, 1.0, 2.5])] * 3), st.tuples(*[st.sampled_from([-3.0, 0.0, 1.0, 2.5])] * 3))
def test_what_comes_out_with_something_unknown_comes_out_whatever_it_is(text: str, given: tuple[float | None, ...], instead: tuple[float, ...]):
    try:
        expression = read_expression(f"{text} + 0 * 1")
    except ValidationError:
        return
    found = expression.value(dict(zip("abc", given, strict=True)))
    if found is not None and "known" not in text:
        filled = {name: value if value is not None else other for name, value, other in zip("abc", given, instead, strict=True)}
        assert expression.value(filled) == found


PIECES = st.sampled_from(
    [
        *"ab(),+-*/^%<=!.'#[{:@≥é１\"\\\t\n\0",
        "load",
        "负荷",
        "and",
        "or",
        "not",
        "if",
        "else",
        "**",
        "<=",
        "==",
        "&&",
        "1",
        "1e99",
        "0.",
        "lambda",
        "known(",
        "max(",
        "sqrt(",
        "__class__",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=60).map(" ".join), st.lists(PIECES, max_size=60).map("".join), st.text(max_size=80)), st.data())
def test_any_text_is_an_expression_or_is_refused_at_a_character(text: str, data: st.DataObject):
    try:
        expression = read_expression(text)
    except ValidationError as error:
        [found] = error.errors()
        assert found["type"] == "wrong", found
        assert 0 <= found["ctx"]["offset"] <= len(text)
        return
    assert isinstance(expression, Expression) and expression.signals
    numbers_or_none = st.none() | st.floats(-1e100, 1e100) | st.sampled_from([0.0, -0.0, 1e-308, 1e100])
    value = expression.value({name: data.draw(numbers_or_none) for name in expression.signals})
    assert value is None or (math.isfinite(value) and not isinstance(value, bool))


@pytest.mark.parametrize(
    "text", ["a" + "+a" * 999, "a" + "*a" * 999, "max(" + ", ".join(["a"] * 20) + ")", "not " * 15 + "a > 1", "a" + " or a".join([">1"] * 60)]
)
def test_the_longest_texts_are_read_and_worked_out(text: str):
    whole = text if text[0] not in "n" and ">" not in text else f"1 if {text} else 0"
    assert read_expression(whole).value({"a": 1.0}) is not None


def test_the_longest_one_costs_as_many_steps_as_it_has_characters():
    """Every part runs once: counted, not timed."""

    class Counting(dict[str, float | None]):
        asked = 0

        def __getitem__(self, name: str) -> Any:
            self.asked += 1
            return super().__getitem__(name)

    counting = Counting(a=1.0)
    read_expression("a" + "+a" * 999).value(counting)
    assert counting.asked == 1000
