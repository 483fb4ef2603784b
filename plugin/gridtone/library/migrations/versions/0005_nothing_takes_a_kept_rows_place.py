"""SQLite refuses `INSERT OR REPLACE` over an entry of the audit log or a version of the rules too: it removes a row without asking the triggers of DELETE."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

REFUSALS = {"audit": "the audit log only grows", "rules_versions": "versions of the rules stay as they are"}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table, refusal in REFUSALS.items():
            op.execute(
                f"CREATE TRIGGER {table}_refuses_replace BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE number = NEW.number) "  # noqa: S608
                f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            )
