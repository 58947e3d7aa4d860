"""What a client says of itself, as it is kept and shown to an account's owner: a few printable words."""

MAX_CHARACTERS = 100
"""What the tables have room for."""


def words(agent: str) -> str:
    """Return what can be kept of a client's own words: on one line, printable, not too long."""
    return "".join(character for character in agent[: 4 * MAX_CHARACTERS] if character.isprintable())[:MAX_CHARACTERS]
