"""Open the database and bring it to today's tables."""

from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseError(Exception):
    """The database cannot be used: the message says why, and what to do."""


def open_database(url: str) -> Engine:
    """Connect to `url` and migrate what is there, all of it or nothing. Raises DatabaseError."""
    try:
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        shown = make_url(url).render_as_string(hide_password=True)
    except (SQLAlchemyError, ImportError) as error:
        raise DatabaseError(
            f"the setting library.database cannot be used: {error}; it is a SQLAlchemy URL, and PostgreSQL needs the extra gridtone[postgresql]"
        ) from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    try:
        migrate(engine)
    except CommandError as error:
        raise DatabaseError(f"the database {shown} was written by a newer gridtone ({error}): start that version, or use another data directory") from error
    except SQLAlchemyError as error:
        raise DatabaseError(f"the database {shown} cannot be opened: {getattr(error, 'orig', error)}") from error
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
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
