"""Every mistake in a YAML file is reported with its line, its column and what to do."""

import textwrap
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gridtone.documents import Document, DocumentError, Wrong, load_document, parse_document, refuse
from gridtone.fields import LocalText, Seconds
from gridtone.rules import Rules, load_pack, load_rules, pack_names

GOOD = """\
gridtone: 1
signals:
  max_loading:
    of: line/*/loading_pct
    take: max
    unit: "%"
    stale_after: 60s
  open_breakers:
    of: [breaker/*/open, switch/**]
    take: count
    where: "> 0.5"
  ramp: {of: grid/load_mw, take: rate, over: 5m, per: 1h}
states:
  alert:
    title: {en: Alert, zh: 警戒}
    severity: alert
    priority: 10
    when: max_loading > 100 %
    clear: max_loading < 95 and not (ramp > 3)
    for: 1m30s
    hold: 5m
    prompt: {text: calm, tempo_bpm: 60, key: D minor, energy: 0.2, instruments: [warm pad]}
  busy:
    when:
      all:
        - 10 <= ramp < 20
        - any: [open_breakers == 0, max_loading < 50]
    on_stale: false
    silent: true
  day:
    prompt: steady
fallback: day
"""

BAD = [
    # what is replaced, by what, line, column, part of the message, part of the fix
    ("    for: 1m30s", "    four: 1m30s", 20, 5, "`four` is not a key of states.alert", "did you mean `for`?"),
    ("    severity: alert", "    serverity: alert", 16, 5, "`serverity` is not a key", "did you mean `severity`?"),
    ("    stale_after: 60s", "    stale: 60s", 7, 5, "`stale` is not a key of signals.max_loading", "did you mean `stale_"),
    ("signals:", "signal:", 2, 1, "`signal` is not a key of the document", "did you mean `signals`?"),
    ("gridtone: 1", "gridtone: 2", 1, 11, "`2` is not one of `1`", "1"),
    ("gridtone: 1", "grid: 1", 1, 1, "`grid` is not a key", "did you mean `gridtone`?"),
    ("severity: alert", "severity: alarm", 16, 15, "`alarm` is not one of `normal`", "did you mean `alert`?"),
    ("take: max", "take: maximum", 5, 11, "`maximum` is not one of", "did you mean `max`?"),
    ("on_stale: false", "on_stale: silence", 28, 15, "`silence` is not one of", "did you mean `silent`?"),
    ("priority: 10", "priority: high", 17, 15, "valid integer", "write a whole number"),
    ("priority: 10", "priority: 10.5", 17, 15, "valid integer", "write a whole number"),
    ("priority: 10", "priority: 100000", 17, 15, "less than or equal to 1000, found `100000`", ""),
    ("for: 1m30s", "for: 90 sec", 20, 10, "`90 sec` is not a duration", "90s, 5m or 1h30m"),
    ("for: 1m30s", "for: -5", 20, 10, "`-5` is not a duration", "90s"),
    ("for: 1m30s", "for: .nan", 20, 10, "`nan` is not a duration", "90s"),
    ("for: 1m30s", "for: true", 20, 10, "`True` is not a duration", "90s"),
    ("stale_after: 60s", "stale_after: 0", 7, 18, "greater than 0", ""),
    ("hold: 5m", "hold:", 21, 5, "no duration is given", "90s"),
    ("when: max_loading > 100 %", "when: max_loding > 100 %", 18, 11, "`max_loding` is not a signal", "did you mean `max_loading`?"),
    ("not (ramp > 3)", "not (rmp > 3)", 19, 38, "`rmp` is not a signal", "did you mean `ramp`?"),
    ("when: max_loading > 100 %", "when: max_loading > 100 MW", 18, 11, "is in MW, but max_loading is in %", "one unit"),
    ("not (ramp > 3)", "not (ramp > 3 MW)", 19, 38, "ramp has no `unit:`", "one unit"),
    ("when: max_loading > 100 %", "when: max_loading = 100 %", 18, 23, "`=` does not compare", "did you mean `==`?"),
    ("when: max_loading > 100 %", "when: max_loading => 100 %", 18, 23, "`=>` does not compare", "did you mean `>=`?"),
    ("when: max_loading > 100 %", "when: max_loading >", 18, 23, "found the end", "max_loading > 100"),
    ("when: max_loading > 100 %", "when: max_loading", 18, 21, "found the end", "max_loading > 100"),
    ("when: max_loading > 100 %", "when: max_loading > ramp", 18, 11, "one signal and one number", ""),
    ("when: max_loading > 100 %", "when: 3 > 100", 18, 11, "one signal and one number", ""),
    ("when: max_loading > 100 %", "when: > 100", 18, 13, "not YAML", "quote a text that begins with >"),
    ("when: max_loading > 100 %", 'when: "> 100"', 18, 12, "expected a signal or a number, found `>`", ""),
    ("< 95 and not (ramp > 3)", "< 95 AND not (ramp > 3)", 19, 29, "`AND` is not known", "did you mean `and`?"),
    ("< 95 and not (ramp > 3)", "< 95 && not (ramp > 3)", 19, 29, "`&&` does not compare", "did you mean `and`?"),
    ("not (ramp > 3)", "!(ramp > 3)", 19, 33, "`!` is not known", "did you mean `not`?"),
    ("not (ramp > 3)", "not (ramp > 3", 19, 37, "this `(` is never closed", "add `)`"),
    ("not (ramp > 3)", "not ramp > 3)", 19, 45, "`)` is not expected here", "delete it"),
    ("10 <= ramp < 20", "20 <= ramp < 10", 26, 11, "no number lies between 20 and 10", "swap"),
    ("10 <= ramp < 20", "10 <= ramp > 5", 26, 22, "do not make a range", "45 <= load_pct < 85"),
    ("10 <= ramp < 20", "ramp <= 10 < 20", 26, 11, "the signal between two numbers", "45 <="),
    ("10 <= ramp < 20", "lamp > 3", 26, 11, "`lamp` is not a signal", "did you mean `ramp`?"),
    ("      all:\n", "      al:\n", 25, 7, "`al` does not join conditions", "`all:`"),
    ("any: [open_breakers == 0, max_loading < 50]", "any: []", 27, 16, "needs a list of conditions", ""),
    ("open_breakers == 0, max", "open_breaker == 0, max", 27, 17, "`open_breaker` is not a signal", "did you mean `open_breakers`?"),
    ("of: line/*/loading_pct", "of: line/+/loading_pct", 4, 14, "`+` is not a wildcard here", "did you mean `*`?"),
    ("of: line/*/loading_pct", "of: line/HV-*/loading_pct", 4, 14, "`HV-*` is not a wildcard", "one whole part"),
    ("of: line/*/loading_pct", "of: line/**/loading_pct", 4, 14, "may only stand at the end", "use `*`"),
    ("of: line/*/loading_pct", "of: line//loading_pct", 4, 9, "empty part", ""),
    ("switch/**]", "switch/#]", 9, 33, "`#` is not a wildcard here", "did you mean `**`?"),
    ("of: line/*/loading_pct", "of: *", 4, 10, "not YAML", "quote a text that begins with *"),
    ("    take: max\n", "", 4, 9, "`value` needs one point", "`take:` one of max"),
    ('    where: "> 0.5"\n', "", 10, 11, "`take: count` lacks `where`", "add such as"),
    ('where: "> 0.5"', "where: 0.5", 11, 12, "`0.5` is not a comparison", "in quotes"),
    ("take: count", "take: sum", 11, 5, "`where` means nothing to `take: sum`", "did you mean `take: count`?"),
    ("over: 5m, ", "", 12, 34, "`take: rate` lacks `over`", "add such as"),
    ("take: rate", "take: max", 12, 39, "`over` means nothing to `take: max`", "did you mean `take: rate`?"),
    ("tempo_bpm: 60", "tempo_bpm: 6", 22, 37, "greater than or equal to 30, found `6`", ""),
    ("tempo_bpm: 60", "bpm: 60", 22, 26, "`bpm` is not a key of states.alert.prompt", "did you mean `tempo_bpm`?"),
    ("key: D minor", "key: H minor", 22, 46, "`H minor` is not a musical key", "D minor"),
    ("[warm pad]", "[warm pads]", 22, 82, "`warm pads` is not an instrument", "did you mean `warm pad`?"),
    ("energy: 0.2", "energy: 20", 22, 63, "less than or equal to 1, found `20`", ""),
    ("energy: 0.2", "energy: .inf", 22, 63, "finite number", "write a number"),
    ("title: {en: Alert, zh: 警戒}", "title: {zh: 警戒}", 15, 5, "lacks `en`", "add `en:`"),
    ("title: {en: Alert, zh: 警戒}", "title: [Alert]", 15, 12, "is not a text", "write a text"),
    ("    silent: true\n", "", 23, 3, "the state has no sound", "add `prompt:`"),
    ("    silent: true\n", "    silent: true\n    prompt: x\n", 29, 5, "a silent state has no prompt", "delete"),
    ("    prompt: steady", "    prompt: {}", 31, 5, "asks for nothing", "add `text:`"),
    ("    prompt: steady", "    prompt: steady\n    hold: 5m", 32, 5, "`hold` means nothing to the fallback", "delete it"),
    ("fallback: day", "fallback: dya", 32, 11, "the fallback `dya` is not a state", "did you mean `day`?"),
    ("fallback: day", "", 30, 3, "states.day lacks `when`", "fallback: day"),
    ("  busy:", "  no_data:", 23, 3, "`no_data` is gridtone's own", "another name"),
    ("  busy:", "  very busy:", 23, 3, "`very busy` cannot be a name", "letters"),
    ("  busy:", "  alert:", 23, 3, "`alert` stands here twice", "the first is on line 14"),
    ("  busy:", "  7:", 23, 3, "the key `7` is not right", "quote it"),
    ("  busy:", "\tbusy:", 23, 1, "not YAML", "indent with spaces"),
    ("    silent: true", "   silent: true", 29, 4, "not YAML", "indentation"),
    ("prompt: steady", "prompt: steady: slow", 31, 19, "not YAML", "`: `"),
    ("prompt: steady", 'prompt: "steady', 31, 13, "not YAML", "close the quote"),
    ("prompt: steady", "prompt: @steady", 31, 13, "not YAML", "quote a text that begins with @"),
    ("prompt: steady", "prompt: !steady x", 31, 13, "the tag !steady is not known", "quote"),
    ("on_stale: false", "on_stale: !!bool maybe", 28, 15, "`maybe` is not true or false", "write one"),
    ("priority: 10", 'priority: !!int ""', 17, 15, "is not a number that can be read", ""),
    ("priority: 10", "priority: !!int -_", 17, 15, "`-_` is not a number that can be read", ""),
    ("energy: 0.2", 'energy: !!float ""', 22, 63, "is not a number that can be read", ""),
    ("energy: 0.2", f"energy: !!float {'9:' * 300}9", 22, 63, "is not a number that can be read", ""),
    ("  busy:", "  !!bool maybe:", 23, 3, "`maybe` is not true or false", "write one"),
    ("prompt: steady", "prompt: [a, b]", 31, 13, "must be a mapping", "key: value"),
    ("states:\n", "states: []\nold:\n", 13, 9, "must be a mapping", "key: value"),
    ("fallback: day", "fallback: day\n---\nx: 1", 33, 1, "another document", "delete the `---`"),
    ("of: grid/load_mw", "of: [grid/load_mw", 12, 0, "not YAML", "close the bracket"),
    ("    prompt: steady", "    <<: {prompt: steady}", 31, 5, "`<<` is not supported", "write the keys out"),
]


@pytest.mark.parametrize(("old", "new", "line", "column", "message", "fix"), BAD, ids=[f"{number}-{case[1].strip()[:40]}" for number, case in enumerate(BAD)])
def test_a_mistake_is_found_where_it_is(old: str, new: str, line: int, column: int, message: str, fix: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(DocumentError) as error:
        parse_document(GOOD.replace(old, new), Rules, Path("rules.yaml"))
    found = [problem for problem in error.value.problems if problem.line == line and (problem.column == column or column == 0)]
    assert found, str(error.value)
    assert any(message in problem.message and fix in problem.fix for problem in found), str(error.value)


def test_the_good_file_is_good() -> None:
    rules = parse_document(GOOD, Rules)
    assert rules.states["alert"].for_ == 90
    assert rules.states["busy"].on_stale == "false"
    assert rules.signals["ramp"].per == 3600
    assert rules.states["day"].prompt is not None


def test_all_mistakes_are_reported_together_and_in_order() -> None:
    text = GOOD.replace("priority: 10", "priority: high").replace("severity: alert", "severty: alert").replace("tempo_bpm: 60", "tempo_bpm: fast")
    with pytest.raises(DocumentError) as error:
        parse_document(text, Rules, Path("rules.yaml"))
    assert [problem.line for problem in error.value.problems] == [16, 17, 22]
    assert str(error.value).splitlines()[0] == "rules.yaml:16:5: `severty` is not a key of states.alert; did you mean `severity`?"


def test_a_condition_over_several_lines_is_still_pointed_into() -> None:
    text = GOOD.replace("when: max_loading > 100 %", "when: >-\n      max_loading > 100 %\n      and rampp > 3")
    with pytest.raises(DocumentError) as error:
        parse_document(text, Rules)
    assert [(problem.line, problem.column) for problem in error.value.problems] == [(20, 11)]


def test_a_file_with_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("severity: alert", "severity: alarm").replace("\n", "\r\n").encode())
    with pytest.raises(DocumentError) as error:
        load_rules(path)
    assert [(problem.line, problem.column) for problem in error.value.problems] == [(16, 15)]


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no such file"):
        load_rules(tmp_path / "none.yaml")
    with pytest.raises(DocumentError, match="cannot be read"):
        load_rules(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("gridtone: 1\ntitle: caf\u00e9".encode("latin-1"))
    with pytest.raises(DocumentError, match=r"latin.yaml:2:11: the byte 0xe9 is not UTF-8"):
        load_rules(tmp_path / "latin.yaml")
    (tmp_path / "huge.yaml").write_text("# " + "x" * 5_000_000)
    with pytest.raises(DocumentError, match="larger than"):
        load_rules(tmp_path / "huge.yaml")


def test_an_empty_file_lacks_what_it_must_have() -> None:
    with pytest.raises(DocumentError, match="lacks `gridtone`"):
        parse_document("", Rules)


def test_hostile_yaml_is_refused() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
    )
    for text, message in (
        (bomb, "more than"),
        ("a: &a [*a]", "stands inside what it names"),
        ("[" * 100, "not YAML"),
        ("[" * 100 + "]" * 100, "nested too deeply"),
        ("[" * 20_000, "nested too deeply"),
        ("a: " + "9" * 5000, "not a number that can be read"),
        ("a: !!python/object/apply:os.system [ls]", "not a"),
        ("a: \x07", "may not stand in YAML"),
        ('a: "\\UFFFFFFFF"', "not YAML"),
    ):
        with pytest.raises(DocumentError, match=message):
            parse_document(text, Rules)


class Broker(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["mqtt"]
    host: str = "localhost"
    keepalive: Seconds = 30.0


class Recording(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["replay"]
    path: str


class Site(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: LocalText = Field(default_factory=lambda: {"en": "site"})
    adapters: list[Annotated[Broker | Recording, Field(discriminator="kind")]] = Field(default_factory=list)
    rules: str | Rules = "transmission"

    @model_validator(mode="after")
    def _check(self) -> "Site":
        refuse([Wrong("two adapters of one kind", "delete one", ("adapters", 1, "kind"))] if len(self.adapters) == 2 else [])
        return self


def site(text: str) -> list[str]:
    with pytest.raises(DocumentError) as error:
        parse_document(textwrap.dedent(text), Site, Path("site.yaml"))
    return [str(problem) for problem in error.value.problems]


def test_other_models_get_the_same_reports() -> None:
    assert site("adapters:\n- kind: mqtt\n  hots: example") == ["site.yaml:3:3: `hots` is not a key of adapters.0; did you mean `host`?"]
    assert site("adapters:\n- kind: mqt\n  host: example") == ["site.yaml:2:9: adapters.0: `mqt` is not one of `mqtt`, `replay`; did you mean `mqtt`?"]
    assert site("adapters:\n- kind: replay") == ["site.yaml:2:3: adapters.0 lacks `path`; add `path:`"]
    assert site("adapters: {kind: mqtt}") == [
        "site.yaml:1:11: adapters: input should be a valid list, found `{kind: mqtt}`; write a list: `- item` lines, or [one, two]"
    ]
    assert site("adapters: [{kind: mqtt}, {kind: mqtt}]") == ["site.yaml:1:33: two adapters of one kind; delete one"]


def test_a_part_of_a_document_is_validated_with_its_own_positions() -> None:
    text = "name: x\nrules:\n" + textwrap.indent(GOOD.replace("severity: alert", "severity: alarm"), "  ")
    document = Document(text, Path("site.yaml"))
    with pytest.raises(DocumentError, match=r"site.yaml:18:17: rules.states.alert.severity: `alarm`"):
        document.validate(Rules, ("rules",))
    assert Document(text.replace("alarm", "alert"), Path("site.yaml")).validate(Rules, ("rules",)).fallback == "day"


def test_every_pack_loads(tmp_path: Path) -> None:
    assert "transmission" in pack_names()
    for name in pack_names():
        assert load_pack(name).states
    with pytest.raises(ValueError, match="did you mean `transmission`"):
        load_pack("transmision")
    path = tmp_path / "x.yaml"
    path.write_text(GOOD)
    assert load_document(path, Rules) == load_rules(path)


PACK = (Path(__file__).parents[2] / "plugin/gridtone/rules/packs/transmission.yaml").read_text()
PIECES = [
    *PACK.split(),
    *PACK.splitlines(),
    "",
    " ",
    "\t",
    "\n",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "*",
    "&a ",
    "!x ",
    "|",
    ">",
    "'",
    '"',
    "#",
    "\x00",
    "💥",
    "~",
    "1e999",
    "0x",
    "-.inf",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(PACK) - 1), st.integers(0, 30), st.sampled_from(PIECES)), min_size=1, max_size=3))
def test_a_mutated_pack_never_crashes_and_every_error_points_into_the_file(edits: list[tuple[int, int, str]]) -> None:
    text = PACK
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    try:
        rules = parse_document(text, Rules)
    except DocumentError as error:
        assert error.problems
        lines = text.split("\n")
        for problem in error.problems:
            assert 1 <= problem.line <= len(lines) + 1
            assert 1 <= problem.column <= max(len(lines[min(problem.line, len(lines)) - 1]), 1) + 1
            assert problem.message
    else:
        assert rules.states


def test_the_schema_names_every_key() -> None:
    schema = Rules.model_json_schema()
    assert set(schema["properties"]) == {"gridtone", "title", "signals", "states", "fallback"}
    assert "for" in schema["$defs"]["State"]["properties"]
    for definition in (schema, *schema["$defs"].values()):
        for key, described in definition["properties"].items():
            assert described.get("description"), key
