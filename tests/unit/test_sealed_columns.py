"""KEY4, KEY1: all that is made with a key is in one table, and nothing else is."""

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table

from mailauth.effects.keyring import Purpose
from mailauth.effects.store import tables
from mailauth.effects.store.sealed_columns import MADE_WITHOUT_A_KEY, SEALED_COLUMNS, BoundTo, Form

NOT_STORED = {Purpose.CSRF, Purpose.REFUSED_STRING, Purpose.GRANTED_STRING, Purpose.WRONG_AT_SOURCE}
"""What is made with the key and stays in memory, or in a page."""
WITHIN_ANOTHER = {Purpose.RENAMED}
"""What a digest of another purpose is digested with once more."""


def unlisted(metadata: MetaData) -> set[str]:
    """Return the columns that may hold what was made with a key, and are in neither list."""
    listed = {str(column.value) for column in SEALED_COLUMNS} | {str(column) for column in MADE_WITHOUT_A_KEY}
    return {
        str(column)
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
        or any(word in column.name for word in ("digest", "fingerprint", "seal"))
    } - listed


def test_every_column_of_bytes_or_digests_is_listed() -> None:
    assert unlisted(tables.metadata) == set()


def test_column_that_is_forgotten_is_found() -> None:
    metadata = MetaData()
    Table(
        "forgotten",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("secret", LargeBinary(32)),
        Column("sent_digest", String(64)),
        Column("name", String(64)),
    )
    assert unlisted(metadata) == {"forgotten.secret", "forgotten.sent_digest"}


def test_every_column_that_names_a_key_is_looked_at_before_a_key_is_called_unused() -> None:
    # KEY4
    named = {
        str(column)
        for table in tables.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("key_id")
    }
    assert {str(column.key_id) for column in SEALED_COLUMNS if column.key_id is not None} == named


def test_nothing_is_listed_twice_and_every_purpose_has_its_place() -> None:
    values = [str(column.value) for column in SEALED_COLUMNS]
    purposes = [column.purpose for column in SEALED_COLUMNS]
    assert len(set(values)) == len(values)
    assert len(set(purposes)) == len(purposes)
    assert set(purposes) | NOT_STORED | WITHIN_ANOTHER == set(Purpose)


def test_what_is_sealed_or_bound_to_a_name_says_with_which_key_it_was_made() -> None:
    """Else nothing could open it again, or bind it to another name."""
    for column in SEALED_COLUMNS:
        if column.form is Form.SEALED or column.bound_to is BoundTo.NAME:
            assert column.key_id is not None, column.value
        if column.opens_with is not None:
            assert column.form is Form.SEALED, column.value
