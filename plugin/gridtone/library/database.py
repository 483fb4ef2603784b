"""Open the database and bring it to today's tables."""

import os
import socket
import threading
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = int.from_bytes(b"grid")
"""First key of PostgreSQL's advisory lock; the second is the schema's."""
MIGRATING = threading.Lock()
"""Alembic's context is a global of the process."""


class DatabaseError(Exception):
    """The database cannot be used: the message says why, and what to do."""


def open_database(url: str) -> Engine:
    """Connect to `url` and migrate what is there, all of it or nothing. Raises DatabaseError."""
    engine = connect(url)
    bring_up_to_date(engine)
    return engine


def connect(url: str) -> Engine:
    """Raises DatabaseError for what is no URL of a database."""
    try:
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (SQLAlchemyError, ImportError) as error:
        raise DatabaseError(
            f"the setting library.database cannot be used: {error}; it is a SQLAlchemy URL, and PostgreSQL needs the extra gridtone[postgresql]"
        ) from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    return engine


def hold(engine: Engine) -> Connection | None:
    """Keep every other service out of the database while the connection lives. None for SQLite, whose folder is locked. Raises DatabaseError."""
    if engine.dialect.name != "postgresql":
        return None
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        connection.execute(text("select set_config('application_name', :name, false)"), {"name": f"gridtone, process {os.getpid()} on {socket.gethostname()}"})
        if connection.scalar(text("select pg_try_advisory_lock(:lock, hashtext(current_schema()))"), {"lock": LOCK}):
            return connection
        holder = connection.scalar(
            text(
                "select min(application_name) from pg_locks join pg_stat_activity using (pid) "
                "where locktype = 'advisory' and classid = :lock and granted and datname = current_database()"
            ),
            {"lock": LOCK},
        )
        connection.close()
    except SQLAlchemyError as error:
        raise DatabaseError(f"the database {_shown(engine)} cannot be opened: {getattr(error, 'orig', error)}") from error
    raise DatabaseError(f"the database {_shown(engine)} is in use by another gridtone ({holder}): stop that one, or give this one a database of its own")


def bring_up_to_date(engine: Engine) -> None:
    """Migrate what is there, all of it or nothing. Raises DatabaseError."""
    try:
        migrate(engine)
    except CommandError as error:
        raise DatabaseError(
            f"the database {_shown(engine)} was written by a newer gridtone ({error}): start that version, or use another data directory"
        ) from error
    except SQLAlchemyError as error:
        raise DatabaseError(f"the database {_shown(engine)} cannot be opened: {getattr(error, 'orig', error)}") from error


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def migrate(engine: Engine, revision: str = "head") -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with MIGRATING, engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _prepare_sqlite(engine: Engine) -> None:
    """Write-ahead logging: readers never wait for the writer, and a killed process loses nothing that was committed.

    Python's driver begins transactions by itself, but not before it creates tables; so beginning is ours, and a migration is atomic.
    """

    @event.listens_for(engine, "connect")
    def connect(connection: sqlalchemy.engine.interfaces.DBAPIConnection, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN")
