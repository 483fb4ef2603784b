"""The audit log grows, tells tampering, and holds no secret."""

import hashlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from test_library import library, postgresql  # noqa: F401 - fixtures

from gridtone.audited import record_rules, record_start
from gridtone.config import Site
from gridtone.library.audit import FIRST, AuditError
from gridtone.library.library import Library
from gridtone.library.settings import LibrarySettings
from gridtone.person import Person
from gridtone.room.settings import RoomSettings
from gridtone.rules import load_pack
from gridtone.rules.source import Pack
from waiting import PATIENCE_SECONDS

EDITOR = Person("Grid planning", "editor")


def three_entries(library: Library) -> None:  # noqa: F811
    library.audit.record(EDITOR, "rules_saved", "rules.yaml", {"version": 7, "reason": "新的限值"})
    library.audit.record(None, "rules_taken_over", "rules.yaml")
    library.audit.record(EDITOR, "rules_saved", "rules.yaml", {"version": 8})


def test_every_entry_is_sealed_with_the_one_before_and_anybody_can_verify_it(library: Library) -> None:  # noqa: F811
    three_entries(library)
    entries = list(library.audit.verified())
    assert [(entry.number, entry.person, entry.role, entry.action) for entry in entries] == [
        (1, "Grid planning", "editor", "rules_saved"),
        (2, "gridtone", "", "rules_taken_over"),
        (3, "Grid planning", "editor", "rules_saved"),
    ]
    assert library.audit.entries(2) == entries[:0:-1]
    assert library.audit.entries(9, before=3) == entries[1::-1]
    assert library.audit.last("rules_saved") == entries[2]
    assert library.audit.last("nothing") is None
    previous = FIRST
    for entry in entries:
        sealed = [entry.number, entry.time, entry.person, entry.role, entry.action, entry.what, entry.detail, previous]
        previous = hashlib.sha256(json.dumps(sealed, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
        assert entry.hash == previous
    assert json.loads(entries[0].detail) == {"version": 7, "reason": "新的限值"}


CHANGES = {
    "sqlite": ("insert or replace into {table} select * from {table} where number = 2",),
    "postgresql": ("insert into {table} select * from {table} where number = 2 on conflict (number) do update set time = 0", "truncate table {table}"),
}


@pytest.mark.parametrize(("table", "said"), [("audit", "only grows"), ("rules_versions", "stay as they are")])
def test_the_database_refuses_to_change_remove_or_replace_what_is_kept(library: Library, table: str, said: str) -> None:  # noqa: F811
    three_entries(library)
    for number in range(3):
        library.add_rules_version(f"rules {number}", "Grid planning", "a reason", float(number + 1), None, lambda: None)
    everywhere = ("update {table} set time = 0", "delete from {table}", "delete from {table} where number = 3")
    for change in (*everywhere, *CHANGES[library._database.dialect.name]):
        with pytest.raises(DBAPIError, match=said), library._database.begin() as connection:
            connection.execute(text(change.format(table=table)))
    assert len(list(library.audit.verified())) == 3
    assert [(version.number, version.time) for version in library.rules_versions(9)] == [(3, 3.0), (2, 2.0), (1, 1.0)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update audit set person = 'nobody' where number = 2", "entry 2 .* does not match"),
        ("update audit set time = time + 1 where number = 3", "entry 3 .* does not match"),
        ("delete from audit where number = 2", "entry 2 .* is missing"),
        ("delete from audit where number = 1", "entry 1 .* is missing"),
    ],
)
def test_tampering_with_the_databases_own_tools_shows(library: Library, change: str, said: str) -> None:  # noqa: F811
    three_entries(library)
    sqlite = ("audit_refuses_update", "audit_refuses_delete")
    drops = {"sqlite": [f"drop trigger {trigger}" for trigger in sqlite], "postgresql": ["alter table audit disable trigger all"]}
    with library._database.begin() as connection:
        for drop in drops[library._database.dialect.name]:
            connection.execute(text(drop))
        connection.execute(text(change))
    with pytest.raises(AuditError, match=said):
        list(library.audit.verified())


def test_a_chain_that_was_forged_anew_from_an_entry_on_differs_from_the_seals_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with Library.open(LibrarySettings(), tmp_path) as library:  # noqa: F811
        three_entries(library)
        for entry in library.audit.verified():
            assert f"audit {entry.number}: " in caplog.text and f"sealed {entry.hash}" in caplog.text


@pytest.mark.parametrize("kept", [True, False], ids=["a log that is kept", "a terminal"])
def test_the_seals_are_in_a_log_that_is_kept_and_not_on_a_terminal(tmp_path: Path, kept: bool) -> None:
    record = """
import sys
from pathlib import Path
from gridtone.cli.common import log_to_stderr
from gridtone.library.audit import open_audit
from gridtone.library.settings import LibrarySettings
log_to_stderr()
open_audit(LibrarySettings(), Path(sys.argv[1])).record(None, "tried", "this")
import logging
logging.getLogger("gridtone.service").info("state day")
"""
    reading, writing = os.pipe() if kept else pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", record, str(tmp_path)], stderr=writing, check=True, timeout=PATIENCE_SECONDS)
        told = os.read(reading, 10_000).decode()
    finally:
        os.close(reading)
        os.close(writing)
    assert "state day" in told
    assert ("audit 1: gridtone tried this {}, sealed " in told) == kept, told


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    write = """
import sys
from sqlalchemy import create_engine
from gridtone.library import audit as module
from gridtone.library.audit import Audit
from gridtone.library.database import open_database
module.PATIENCE_SECONDS = 60.0  # a loaded machine may stop one of them while it writes
audit = Audit(open_database(f"sqlite:///{sys.argv[1]}"))
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    audit.record(None, "tried", sys.argv[2], {"number": number})
assert not audit.problem, audit.problem
"""
    with Library.open(LibrarySettings(), tmp_path) as library:  # noqa: F811
        command = [sys.executable, "-c", write, str(tmp_path / "gridtone.db")]
        writers = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in "abc"]
        for writer in writers:
            assert writer.stdout and writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.communicate("go\n", PATIENCE_SECONDS)
            assert writer.returncode == 0
        written = [(entry.what, json.loads(entry.detail)["number"]) for entry in library.audit.verified()]
    assert sorted(written) == [(name, number) for name in "abc" for number in range(40)]


def test_a_database_that_refuses_stops_nobody_and_the_log_has_the_entry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Library.open(LibrarySettings(), tmp_path) as library:  # noqa: F811
        with library._database.begin() as connection:
            connection.execute(text("create trigger full before insert on audit begin select raise(abort, 'no room'); end"))
        library.audit.record(EDITOR, "rules_saved", "rules.yaml", {"version": 7})
        assert "no room" in library.audit.problem and "no room" in library.problem()
        assert "Grid planning editor, rules_saved rules.yaml {'version': 7}" in caplog.text
        with library._database.begin() as connection:
            connection.execute(text("drop trigger full"))
        library.audit.record(EDITOR, "rules_saved", "rules.yaml")
        assert not library.audit.problem and not library.problem()


def test_a_start_says_which_groups_of_settings_are_not_those_of_the_last_and_tells_no_password(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/other.db"
    with Library.open(LibrarySettings(), tmp_path) as library:  # noqa: F811
        for site in (
            Site(),
            Site(),
            Site(room=RoomSettings(mute_priority="high")),
            Site(library=LibrarySettings(database="postgresql+psycopg://gridtone:one@db/gridtone")),
            Site(library=LibrarySettings(database="postgresql+psycopg://gridtone:two@db/gridtone")),
            Site(library=LibrarySettings(database=database), rules=Pack(pack="distribution")),
        ):
            record_start(library.audit, site)
        changed = [json.loads(entry.detail)["changed"] for entry in library.audit.verified()]
    assert changed == [[], [], ["room"], ["library", "room"], [], ["library", "rules"]]


def test_a_saved_file_of_rules_is_taken_over_or_refused(tmp_path: Path) -> None:
    with Library.open(LibrarySettings(), tmp_path) as library:  # noqa: F811
        record_rules(library.audit, tmp_path / "rules.yaml", load_pack("transmission"), "")
        record_rules(library.audit, tmp_path / "rules.yaml", None, "rules.yaml:3:1: unknown key")
        taken, refused = library.audit.verified()
    assert (taken.action, list(json.loads(taken.detail))) == ("rules_taken_over", ["fingerprint"])
    assert (refused.action, json.loads(refused.detail)) == ("rules_refused", {"problem": "rules.yaml:3:1: unknown key"})
