"""Digests of secrets that are bound to the name of their account, and how they stay so when it is renamed.

The digest of a recovery code or an app password covers the account's name, so that a row that is moved to another
account does not match there (requirement KEY1). At a renaming the secret is not at hand: the digest that is stored is
digested once more, together with the new name. What is presented is then compared with one digest for each name that
the account has had, since it was made under one of them. The list of names proves nothing: each step needs the key.
"""

from collections.abc import Sequence

from mailauth.effects.keyring import Keyring, Purpose


def digests(
    ring: Keyring,
    purpose: Purpose,
    name: str,
    former_names: Sequence[str],
    *parts: str | bytes,
    key_ids: Sequence[str] | None = None,
) -> list[bytes]:
    """Return what the digest of a secret may be, one for each name of its account and each key (None: all)."""
    found = []
    for key_id in ring.ids if key_ids is None else key_ids:
        found.append(ring.mac(purpose, name, *parts, key_id=key_id))
        for made_under, former in enumerate(former_names):
            digest = ring.mac(purpose, former, *parts, key_id=key_id)
            for later in (*former_names[made_under + 1 :], name):
                digest = rebound(ring, purpose, later, digest, key_id)
            found.append(digest)
    return found


def rebound(ring: Keyring, purpose: Purpose, new_name: str, digest: bytes, key_id: str) -> bytes:
    """Return a stored digest for an account that is given a new name."""
    return ring.mac(Purpose.RENAMED, purpose, new_name, digest, key_id=key_id)
