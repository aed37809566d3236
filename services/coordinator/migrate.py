"""Brings the schema up to date, from empty too; a database of a newer schema is refused."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from services.coordinator.database import driver_url
from shared.errors import ConfigError

MIGRATION_LOCK = 0x434F4D44  # "COMD": starters of several processes take turns


def migrate(url: str) -> None:
    """Upgrade to the newest schema that this version knows. ConfigError where the database is ahead of it."""
    # named, because from a database of another encoding not even its version could be read
    engine = create_engine(driver_url(url), connect_args={"client_encoding": "utf8"})
    try:
        with engine.connect() as connection:
            _refuse_other_encodings(connection)
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()
            config = _config(connection)
            _refuse_newer(connection, config)
            command.upgrade(config, "head")
            connection.commit()
    finally:
        engine.dispose()  # closes the session, which gives the lock back


def schema_is_current(connection: Connection) -> bool:
    """Whether the database has exactly the schema that this version works with."""
    return _revision(connection) == ScriptDirectory.from_config(_config(connection)).get_current_head()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _refuse_other_encodings(connection: Connection) -> None:
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise ConfigError(
            f"the database has encoding {encoding}, but questions and answers come in every script: make one with "
            "CREATE DATABASE comd ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0"
        )


def _refuse_newer(connection: Connection, config: Config) -> None:
    revision = _revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise ConfigError(
            f"the database has schema {revision}, which this version does not know (newest: {max(known)}); "
            "it was made by a newer version: install that one, or use another database"
        )


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
