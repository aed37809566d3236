"""The schema: made from empty, equal to the tables in code, and a newer one is refused."""

import secrets
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from services.coordinator import migrations
from services.coordinator.database import connect, driver_url, to_json
from services.coordinator.migrate import migrate, schema_is_current
from services.coordinator.repositories.rows import insert, scalar
from services.coordinator.tables import Table
from shared.errors import ConfigError


def test_the_migrations_make_the_tables_from_empty(empty_postgres_url: str) -> None:
    migrate(empty_postgres_url)
    engine = create_engine(driver_url(empty_postgres_url))
    with engine.connect() as connection:
        assert schema_is_current(connection)
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()


def test_a_database_in_use_keeps_its_rows_and_gets_the_new_columns(empty_postgres_url: str) -> None:
    upgrade(empty_postgres_url, "0001")
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute("""
            INSERT INTO datasets (name, purpose, path, content_sha256, num_records, num_instructions, num_images,
                num_refused, refused) VALUES ('set', 'instruct', 'p', '', 1, 1, 1, 0, '[]')
        """)
        connection.execute("""
            INSERT INTO runs (id, name, dataset, config, engines, status, target, progress)
            VALUES ('run-1', 'r', 'set', '{}', '{}', 'running', 1, '{}')
        """)
        connection.execute("""
            INSERT INTO tasks (run_id, iteration, phase, image, state) VALUES ('run-1', 1, 'teaching', 'a', 'todo')
        """)
    migrate(empty_postgres_url)
    with psycopg.connect(empty_postgres_url) as connection:
        assert connection.execute("SELECT image, estimate_nanos FROM tasks").fetchall() == [("a", 0)]
        assert connection.execute("SELECT count(*) FROM usage_totals").fetchone() == (0,)


def upgrade(url: str, revision: str) -> None:
    """The schema as an earlier version left it."""
    engine = create_engine(driver_url(url))
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
    engine.dispose()


def test_a_second_start_changes_nothing(postgres_url: str) -> None:
    migrate(postgres_url)


def test_a_newer_schema_is_refused_with_what_to_do(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match=r"schema 9999, which this version does not know.*newer version"):
        migrate(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_other_databases_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected a postgresql:// URL, got sqlite"):
        driver_url("sqlite:///x.db")


async def test_rows_are_inserted_once_and_exactly(postgres_url: str) -> None:
    engine = connect(postgres_url)
    rows = [
        {
            "request_hash": name,
            "role": "teacher",
            "model_revision": 'r"\\',
            "prompt_version": "1",
            "text": text,
            "finish_reason": "stop",
            "prompt_tokens": 1,
            "completion_tokens": 2**40,
        }
        for name, text in (("a", "nul \x00 and \\u0000 and ünïcode"), ("b", "{}"))
    ]
    async with engine.begin() as c:
        assert await insert(c, "answers", rows) == 2
        assert await insert(c, "answers", [{**rows[0], "text": "other"}]) == 0
        kept = await scalar(c, "SELECT text FROM answers WHERE request_hash = 'a'")
        assert kept == "nul  and \\u0000 and ünïcode"
    await engine.dispose()


@pytest.mark.parametrize(
    ("text", "json"), [("a\x00b", '"ab"'), ("\\u0000", '"\\\\u0000"'), ("\\\x00", '"\\\\"')]
)
def test_nul_is_dropped_and_nothing_else(text: str, json: str) -> None:
    assert to_json(text) == json


def test_a_database_of_another_encoding_is_refused_with_what_to_do(postgres_url: str) -> None:
    name = f"ascii_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_url, autocommit=True) as c:
        c.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(ConfigError, match=r"encoding SQL_ASCII.*CREATE DATABASE comd ENCODING 'UTF8'"):
        migrate(urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
