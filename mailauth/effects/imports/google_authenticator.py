"""Files of pam_google_authenticator: a tree of homes with a `.google_authenticator` each.

The first line is the secret in base32; lines that begin with `" ` are options (google-authenticator(1)); the rest are
codes to scratch. A home is `USER/`, or `DOMAIN/USER/` as virtual mailboxes have it; a single file is its folder's.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mailauth.effects.imports import Found, Left, Record, files, seeds
from mailauth.vocabulary.errors import InvalidValue

NAME: Final = ".google_authenticator"
_MAX_BYTES: Final = 65536
_USUAL_WINDOW: Final = 3


def read(place: str) -> Iterator[Record]:
    """Yield what stands below a folder of homes, or in one file of that name."""
    root = Path(place)
    if root.is_dir():
        for path in sorted((*root.glob(f"*/{NAME}"), *root.glob(f"*/*/{NAME}"))):
            yield _record(path, _owner(path.parent.relative_to(root)))
    else:
        if root.name != NAME:
            raise InvalidValue(f"{root} is neither a folder of homes nor a file {NAME}")
        yield _record(root, root.absolute().parent.name)


def _owner(home: Path) -> str:
    domain, *rest = home.parts
    return f"{rest[0]}@{domain}" if rest else domain


def _record(path: Path, owner: str) -> Record:
    try:
        text = files.text_of(path, _MAX_BYTES, follows_links=False)
        secret, *lines = text.splitlines() or [""]
        options = dict(_option(line) for line in lines if line.startswith('" '))
        if "HOTP_COUNTER" in options:
            return Left(str(path), owner, "it counts (HOTP), and is not by time")
        if "TOTP_AUTH" not in options:
            raise InvalidValue("it does not say that it goes by time (TOTP_AUTH)")
        parameters = seeds.parameters(6, options.get("STEP_SIZE") or 30)
        scratch = sum(1 for line in lines if line.strip().isdigit())
        return Found(str(path), owner, seeds.from_base32(secret), parameters, tuple(_left(options, scratch)))
    except InvalidValue as error:
        return Left(str(path), owner, str(error).removeprefix(f"{path}: "))


def _option(line: str) -> tuple[str, str]:
    key, _, value = line[2:].strip().partition(" ")
    return key, value.strip()


def _left(options: dict[str, str], scratch: int) -> Iterator[str]:
    window = options.get("WINDOW_SIZE", "")
    if window.isdigit() and int(window) > _USUAL_WINDOW:
        yield f"its window of {window[:4]} codes"
    if options.get("TIME_SKEW", "0") not in ("0", ""):
        yield "its allowance for a clock that is off"
    if scratch:
        yield f"{scratch} codes to scratch"
