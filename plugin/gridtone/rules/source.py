"""Where rules come from: a file, a pack of gridtone's, or the settings themselves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from gridtone.fields import Seconds
from gridtone.rules import Rules, load_pack, load_rules


class Pack(BaseModel):
    """Rules that come with gridtone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pack: str = Field(description="Name of the pack, such as `transmission`.")
    longest_wait: Seconds | None = Field(
        None, description="No `for` and no `hold` of the pack lasts longer: for a grid that runs faster than the clock, as the demo's does."
    )


def _kind_of_rules(value: Any) -> str:
    if isinstance(value, str | Path):
        return "file"
    is_pack = isinstance(value, Pack) or (isinstance(value, Mapping) and "pack" in value)
    return "pack" if is_pack else "inline"


RulesSource: TypeAlias = Annotated[
    Annotated[Path, Tag("file")] | Annotated[Pack, Tag("pack")] | Annotated[Rules, Tag("inline")],
    Discriminator(_kind_of_rules),
]
"""The path of a rules file, `pack: NAME`, or the rules themselves."""


def own_copy(pack: Pack, data: Path) -> Path:
    """Where a site keeps its own copy of a pack, once it has changed it on the rules page. It stands for the pack from then on."""
    return data / "rules" / f"{pack.pack}.yaml"


def read_source(source: Path | Pack | Rules, folder: Path = Path()) -> Rules:
    """The rules; a relative path is relative to `folder`. Raises DocumentError, or ValueError for an unknown pack."""
    match source:
        case Rules():
            return source
        case Pack(pack=name):
            return hurried(load_pack(name), source)
        case path:
            return load_rules(folder / path)


def hurried(rules: Rules, pack: Pack) -> Rules:
    """Rules in which nothing waits longer than the site's entry of the pack allows."""
    most = pack.longest_wait
    if most is None:
        return rules
    states = {name: state.model_copy(update={"for_": min(state.for_, most), "hold": min(state.hold, most)}) for name, state in rules.states.items()}
    return rules.model_copy(update={"states": states})
