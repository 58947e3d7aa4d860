"""Digests of strings that serve again in one session of the portal alone.

Who has a stolen cookie of one session, and has seen a code typed in another, must not get on by the two: a network is
not a person. So the digest covers the session's id, which is not given again; it ends with the session.
"""

from mailauth.effects.keyring import Keyring, Purpose


def digest(ring: Keyring, remembered_as: bytes, session_id: int | str) -> bytes:
    """Return under which digest a string serves in a session. `remembered_as`: how it is remembered for none."""
    return ring.mac(Purpose.LOGIN_MEMORY, remembered_as, str(session_id))
