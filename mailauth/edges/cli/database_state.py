"""What `config check` and `db check` find out about a configuration's database. Nothing is changed there."""

from mailauth.effects import keyring
from mailauth.effects.configuration.outside import key_file
from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.store import schema
from mailauth.effects.store.database import Database
from mailauth.usecases import key_fingerprints
from mailauth.vocabulary.errors import KeyUnusable, Mistake, SchemaMismatch, StoreUnavailable


def key_mistakes(configuration: Configuration, database: Database) -> tuple[Mistake, ...]:
    """Return how the key file differs from what the database is sealed with. Raises KeyUnusable.

    A credential of systemd's is not there for commands, and is not looked at.
    """
    path = key_file(configuration)
    if not path.is_absolute():
        return ()
    ring = keyring.read(path)
    return tuple(Mistake("keys.file", f"{path}: {words}") for words in key_fingerprints.mistakes(database, ring))


def mistakes(configuration: Configuration) -> tuple[Mistake, ...]:
    """Return what is wrong with the files of a configuration taken together, where the database can be read."""
    database = Database(configuration.database.url)
    try:
        schema.require_current(database)
        return key_mistakes(configuration, database)
    except (StoreUnavailable, SchemaMismatch, KeyUnusable):
        return ()  # the database may be made later, and a key file that cannot be read was named before
    finally:
        database.close()
