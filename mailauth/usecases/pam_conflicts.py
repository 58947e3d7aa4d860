"""Accounts that are one PAM user, for `config check` and for the log of a server that starts."""

from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.store import accounts
from mailauth.effects.store.database import Database
from mailauth.vocabulary.errors import Mistake, StoreUnavailable


def mistakes(configuration: Configuration) -> tuple[Mistake, ...]:
    """Return a mistake for each PAM user that several accounts are; none where the database can't be read."""
    users = configuration.pam_users()
    if len(users.local_part_domains) < 2:
        return ()
    database = Database(configuration.database.url)
    try:
        shared = users.shared(database.read(accounts.all_names))
    except StoreUnavailable:
        return ()  # whoever needs it says so
    finally:
        database.close()
    return tuple(
        Mistake(
            "password.pam_local_part_domains",
            f"{' and '.join(names)} are the one PAM user {user}, and can't log in by password until that ends",
        )
        for user, names in shared.items()
    )
