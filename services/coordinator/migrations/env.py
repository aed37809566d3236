"""What Alembic runs: the migrations on the connection that `migrate` gives it."""

from alembic import context

from services.coordinator.tables import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata)
with context.begin_transaction():
    context.run_migrations()
