"""Kinds of columns that tables of the catalogue share. Every key begins with store_id."""

from typing import Annotated, Any

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Identity, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import mapped_column

OwnStore = Annotated[int, mapped_column(BigInteger, ForeignKey("stores.id"), primary_key=True)]
KeyStore = Annotated[int, mapped_column(BigInteger, primary_key=True)]
KeyId = Annotated[int, mapped_column(BigInteger, Identity(always=False), primary_key=True)]
KeyRef = Annotated[int, mapped_column(BigInteger, primary_key=True)]
Words = Annotated[list[str], mapped_column(ARRAY(Text), server_default="{}")]
Extra = Annotated[dict[str, Any], mapped_column(server_default="{}")]


def belongs_to(table: str, column: str) -> ForeignKeyConstraint:
    """A row that goes away with the row of the same store that it is about."""
    return ForeignKeyConstraint(
        ["store_id", column], [f"{table}.store_id", f"{table}.id"], ondelete="CASCADE"
    )
