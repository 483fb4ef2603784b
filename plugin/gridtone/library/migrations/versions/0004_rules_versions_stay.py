"""The database refuses to change or remove a version of the rules."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

REFUSAL = "versions of the rules stay as they are"


def upgrade() -> None:
    match op.get_bind().dialect.name:
        case "sqlite":
            for change in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER rules_versions_refuse_{change.lower()} BEFORE {change} ON rules_versions BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
                )
        case "postgresql":
            op.execute(f"CREATE FUNCTION rules_versions_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$")
            op.execute(
                "CREATE TRIGGER rules_versions_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON rules_versions "
                "FOR EACH STATEMENT EXECUTE FUNCTION rules_versions_refuse()"
            )
