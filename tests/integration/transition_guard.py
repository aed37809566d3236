"""Triggers that let a test's database refuse every step that the tables of transitions do not have."""

from typing import Any

import psycopg

from services.coordinator.states import PHASE_TRANSITIONS, RUN_TRANSITIONS, TASK_TRANSITIONS

TABLES: dict[str, Any] = {
    "runs": RUN_TRANSITIONS,
    "iterations": PHASE_TRANSITIONS,
    "tasks": TASK_TRANSITIONS,
}
GUARD = """
    CREATE TABLE allowed (kind text, before text, after text);
    CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        was text := to_jsonb(OLD)->>TG_ARGV[0];
        becomes text := to_jsonb(NEW)->>TG_ARGV[0];
    BEGIN
        IF was IS DISTINCT FROM becomes
                AND NOT EXISTS (SELECT FROM allowed WHERE (kind, before, after) = (TG_TABLE_NAME, was, becomes)) THEN
            RAISE EXCEPTION '%: no step from % to % is in the table', TG_TABLE_NAME, was, becomes;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER guard BEFORE UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION guard('status');
    CREATE TRIGGER guard BEFORE UPDATE ON iterations FOR EACH ROW EXECUTE FUNCTION guard('phase');
    CREATE TRIGGER guard BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION guard('state');
"""


def guard(postgres_url: str) -> None:
    """From now on a forbidden step is an error of the statement that makes it."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute(GUARD)
        for table, transitions in TABLES.items():
            for before, allowed in transitions.items():
                for after in allowed:
                    connection.execute("INSERT INTO allowed VALUES (%s, %s, %s)", (table, before, after))
