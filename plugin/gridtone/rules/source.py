"""Where rules come from: a file, a pack of gridtone's, or the settings themselves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from gridtone.rules import Rules, load_pack, load_rules


class Pack(BaseModel):
    """Rules that come with gridtone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pack: str = Field(description="Name of the pack, such as `transmission`.")


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
            return load_pack(name)
        case path:
            return load_rules(folder / path)
