"""What the columns of all tables are made of."""

from sqlalchemy import JSON, BigInteger, Column, Float, Integer, MetaData, Text
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def customer() -> Column[str]:
    return Column("customer_id", Text, primary_key=True)


def words(name: str, *, key: bool = False, null: bool = False, default: str | None = None) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=null, server_default=default)


def instant(name: str, *, null: bool = False, default: str | None = None) -> Column[float]:
    return Column(name, Float, nullable=null, server_default=default)


def count(name: str, default: str = "0") -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=default)


def json(name: str, *, null: bool = False) -> Column[object]:
    # JSON, not JSONB: raw vendor records keep their key order and may hold \u0000, which JSONB refuses.
    return Column(name, JSON(none_as_null=True), nullable=null)


def number(name: str = "id") -> Column[int]:
    # SQLite numbers rows by itself only for the exact type INTEGER.
    kind: TypeEngine[int] = BigInteger().with_variant(Integer, "sqlite")
    return Column(name, kind, primary_key=True, autoincrement=True)


def plain_customer() -> Column[str]:
    return Column("customer_id", Text, nullable=False)
