"""Every setting of a site: one YAML file, overridable by `GRIDTONE_*` environment variables."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gridtone.alarms.settings import AlarmSettings
from gridtone.conductor import ConductorSettings
from gridtone.documents import Document, DocumentError, Problem, read_document
from gridtone.gate.limits import GateLimits
from gridtone.library.settings import LibrarySettings
from gridtone.room.settings import RoomSettings
from gridtone.rules import Rules, pack_file
from gridtone.rules.source import Pack, RulesSource, hurried, own_copy, read_source
from gridtone.server import ServerSettings
from gridtone.stock.settings import StockSettings
from gridtone_adapters import AdapterConfig

PREFIX = "GRIDTONE_"


class Engine(BaseModel):
    """An engine that fills the stock."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the engine, or `auto`; `gridtone doctor` lists those installed and says which one auto is.")
    options: dict[str, Any] = Field(default_factory=dict, description="The engine's own options.")


class Site(BaseModel):
    """All settings of a site. Relative paths are relative to the working directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Field(Path("gridtone-data"), description="Folder for the library: database, audio files and the lock. One service at a time may use it.")
    rules: RulesSource = Field(Pack(pack="transmission"), description="The rules: the path of a rules file, `pack: NAME`, or the rules themselves.")
    adapters: tuple[AdapterConfig, ...] = Field((), description="Where telemetry comes from: one entry a source, told apart by `kind`.")
    engines: tuple[Engine, ...] = Field((Engine(name="composer"),), min_length=1, description="Engines that fill the stock: if one fails, the next takes over.")
    server: ServerSettings = Field(default_factory=ServerSettings, description="HTTP: where it listens, and who may listen to it.")
    conductor: ConductorSettings = Field(default_factory=ConductorSettings, description="How the music follows the states.")
    alarms: AlarmSettings = Field(default_factory=AlarmSettings, description="Which points are alarms, and when there are too many, after ISA-18.2.")
    room: RoomSettings = Field(default_factory=RoomSettings, description="What the control room asks of the music, whatever the rules say.")
    stock: StockSettings = Field(default_factory=StockSettings, description="How many tracks each state keeps ready, and how they are made.")
    library: LibrarySettings = Field(default_factory=LibrarySettings, description="Where tracks are kept, and for how long.")
    gate: GateLimits = Field(default_factory=GateLimits, description="What every track must pass before anyone hears it.")

    def rules_file(self) -> Path | None:
        """The file of the rules: the one that is named, or the site's own copy of the pack, where it has one."""
        if isinstance(self.rules, Pack):
            copy = own_copy(self.rules, self.data)
            return copy if copy.exists() else None
        return self.rules if isinstance(self.rules, Path) else None

    def load_rules(self) -> Rules:
        """The rules that this site plays by. Raises DocumentError, or ValueError for an unknown pack."""
        return self.as_played(read_source(self.rules_file() or self.rules))

    def as_played(self, rules: Rules) -> Rules:
        """Rules of the file that stands for this site's, with what its entry of a pack says of them."""
        return hurried(rules, self.rules) if isinstance(self.rules, Pack) else rules


def load_site(path: Path | None, environment: Mapping[str, str] = os.environ) -> Site:
    """Read a site's file, or the defaults without one, under the environment's overrides. Raises DocumentError with every problem."""
    document = read_document(path) if path else Document("", Path("(no file)"))
    overrides = [name for name in sorted(environment) if name.startswith(PREFIX)]
    for name in overrides:
        _override(document, name, environment[name])
    try:
        site = document.validate(Site)
        _check_pack(document, site)
    except DocumentError as error:
        if not overrides:
            raise
        hint = Problem(document.file, 1, 1, f"settings from the environment are in force too: {', '.join(overrides)}")
        raise DocumentError([*error.problems, hint]) from error
    return site


def _check_pack(document: Document, site: Site) -> None:
    """Here, where the document is at hand, so that an unknown pack has a file, a line and a column."""
    if isinstance(site.rules, Pack) and not site.rules_file():
        try:
            pack_file(site.rules.pack)
        except ValueError as error:
            raise DocumentError([document.problem(("rules", "pack"), str(error))]) from error


def _override(document: Document, name: str, text: str) -> None:
    """`GRIDTONE_SERVER__PORT=9000` is `server: {port: 9000}`; the text is read as YAML."""
    *above, last = name.removeprefix(PREFIX).lower().split("__")
    settings = document.data
    if not isinstance(settings, dict):
        raise DocumentError([document.problem((), f"{name} cannot be applied: this file is not a mapping of settings", "write `key: value` lines")])
    for key in above:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise DocumentError([Problem(document.file, 1, 1, f"{name} cannot be applied: `{key}` is not a group of settings", "mind the double underscores")])
    value = Document(text, Path(name))
    settings[last] = value.data if () in value else None
