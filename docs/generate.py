"""Writes the pages that follow from the code: `python docs/generate.py`. A test fails when they are out of date.

* `configuration.md`  between markers: every key of a site's file, and which engine `auto` is today
* `schema/*.json`     JSON Schemas, for completion in editors
"""

import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gridtone.config import Site
from gridtone.proving.cases import Suite
from gridtone.rules import Rules
from gridtone_engine.auto import judge_weights
from gridtone_engine.undertone.engine import SHIPPED
from gridtone_engine.undertone.evaluate.verdict import read_rows, verdict

DOCS = Path(__file__).parent
KEYS, AUTO, END = "<!-- begin: made by docs/generate.py -->\n", "<!-- begin auto: made by docs/generate.py -->\n", "<!-- end -->\n"
ELSEWHERE = {"adapters": "docs/adapters.md", "rules": "docs/rules.md"}


def pages() -> dict[Path, str]:
    """Path -> what should be in it."""
    page = DOCS / "configuration.md"
    text = page.read_text(encoding="utf-8")
    for begin, lines in ((KEYS, reference(Site, "")), (AUTO, auto())):
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(END)
        text = before + begin + "\n".join(lines) + "\n" + END + after
    made = {page: text}
    for name, model in (("site", Site), ("rules", Rules), ("tests", Suite)):
        made[DOCS / f"schema/{name}.schema.json"] = json.dumps(model.model_json_schema(), indent=1, ensure_ascii=False) + "\n"
    return made


def reference(model: type[BaseModel], above: str) -> Iterator[str]:
    """A table of the model's own keys, then one for each group of settings below it."""
    groups = []
    yield from ("| key | default | what it is |", "|---|---|---|")
    for name, field in model.model_fields.items():
        key = f"{above}{field.alias or name}"
        group = group_of(field)
        if group and name not in ELSEWHERE:
            groups.append((key, group, field.description))
            continue
        see = f" See [{ELSEWHERE[name]}]({Path(ELSEWHERE[name]).name})." if name in ELSEWHERE else ""
        yield f"| `{key}` | {default_of(field)} | {(field.description or '').replace('|', chr(92) + '|')}{see} |"
    for key, group, description in groups:
        yield from ("", f"### `{key}`", "", description or "", "")
        yield from reference(group, f"{key}.")


def auto() -> Iterator[str]:
    """Which engine `auto` is with the weights that are shipped, and the rows that say so."""
    good, why = judge_weights()
    yield f"**Today `auto` is {'undertone' if good else 'the composer'}**, because {why.partition(':')[0]}."
    if (SHIPPED / "evaluation.json").exists():
        found = verdict(read_rows(SHIPPED / "evaluation.json"))
        yield from ("", "| | undertone | composer | undertone |", "|---|---|---|---|")
        for row in found.compared:
            yield f"| {row.what} | {row.undertone:.2f} | {row.composer:.2f} | {'loses' if row in found.lost else 'wins or ties'} |"


def group_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that holds a group of settings, or a list of such groups."""
    kinds = [field.annotation]
    if typing.get_origin(field.annotation) in (tuple, list, types.UnionType):
        kinds = list(typing.get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        default = default.model_dump(mode="json", exclude_none=True)
    if default is None or default == () or default == {}:
        return "none"
    return f"`{default}`"


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
