"""Migrations run through the service's own engine, and so log in as it does."""

from __future__ import annotations

from alembic import context
from inventory.database import engine
from inventory.models import Item

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=Item.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Item.metadata)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()
