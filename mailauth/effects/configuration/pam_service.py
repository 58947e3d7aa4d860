"""The PAM services that check passwords: what of it can't work, as far as files tell.

pam_unix reads /etc/shadow itself, or has unix_chkpwd do it, which reads it for root, for the group shadow, and for
each user's own entry (Linux-PAM 1.5 and 1.7 on Debian). To the user that mailauth's units run as, it therefore says
that it cannot tell, which common-auth of Debian turns into a wrong password: the log shows right passwords as wrong.
"""

import grp
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.configuration.source_sections import PamSection
from mailauth.vocabulary.errors import Mistake

ETC = Path("/etc")
OUR_USER = "mailauth"
DROP_IN = "mailauth-shadow.conf"
"""In deploy/systemd; gives the units the group."""
UNITS = ("mailauth-auth.service", "mailauth-portal.service")
"""Those that check passwords."""

_LINE = re.compile(
    r"-?(?:auth\s+(?:(?:include|substack)\s+(?P<included>\S+)|(?:\[[^\]]*\]|\S+)\s+(?P<module>\S+))"
    r"|@include\s+(?P<at>\S+))"
)
_MAX_DEPTH = 8
"""Linux-PAM follows 16; nobody nests that deep on purpose."""


def mistakes(configuration: Configuration, etc: Path = ETC) -> Iterator[Mistake]:
    """Return what makes a service of no use."""
    for section in configuration.pam_sources():
        service, place = section.service, _place(configuration, section, "service")
        if _file(etc, service) is None:
            yield Mistake(place, f"there is no {etc}/pam.d/{service}: PAM would ask its service `other`")
        if "pam_mailauth" in _modules(etc, service):
            yield Mistake(
                place, f"PAM's {service} has pam_mailauth in it, which would ask the very server that asks it"
            )


def warnings(configuration: Configuration, etc: Path = ETC) -> Iterator[Mistake]:
    """Return what probably lets nobody in. For `config check`, about the user that the units run as."""
    yield from _warnings(configuration, etc, can_read=_server_can_read(etc))


def warnings_at_start(configuration: Configuration, etc: Path = ETC) -> Iterator[Mistake]:
    """Return the same, about the process that this is."""
    yield from mistakes(configuration, etc)
    yield from _warnings(configuration, etc, can_read=_is_readable(etc))


def _warnings(configuration: Configuration, etc: Path, *, can_read: bool) -> Iterator[Mistake]:
    for section in configuration.pam_sources():
        if "pam_unix" not in _modules(etc, section.service):
            continue
        if not can_read:
            problem = (
                f"PAM's {section.service} uses pam_unix, and mailauth can't read {etc}/shadow: right passwords would "
                f"be refused, and logged as password-wrong or source-unavailable. deploy/systemd/{DROP_IN} gives the "
                "units the group shadow; or let Dovecot check passwords, by deploy/pam.d/mailauth-unix"
            )
            yield Mistake(_place(configuration, section, "kind"), problem)
        if not section.local_part_domains:
            problem = (
                f"is empty, and PAM's {section.service} uses pam_unix, whose users have no domain: name the domains "
                "whose accounts are Unix users"
            )
            yield Mistake(_place(configuration, section, "local_part_domains"), problem)


def _place(configuration: Configuration, section: PamSection, key: str) -> str:
    """Return where the file says it: in the source's own table, or in the older form."""
    if configuration.sources:
        return f"sources[{list(configuration.sources).index(section) + 1}].{key}"
    older = {"kind": "source", "service": "pam_service", "local_part_domains": "pam_local_part_domains"}
    return f"password.{older[key]}"


def _file(etc: Path, service: str) -> Path | None:
    places = (etc / "pam.d", etc.parent / "usr" / "lib" / "pam.d")
    return next((place / service for place in places if (place / service).is_file()), None)


def _modules(etc: Path, service: str, depth: int = 0) -> frozenset[str]:
    """Return the modules, by their names without .so, that a service asks for passwords."""
    found: set[str] = set()
    file = _file(etc, service)
    try:
        text = "" if file is None else file.read_text("utf-8", "replace")
    except OSError:
        return frozenset()
    for line in text.replace("\\\n", " ").splitlines():
        meant = _LINE.match(line.partition("#")[0].strip())
        if meant is None:
            continue
        other = meant["included"] or meant["at"]
        if other is None:
            found.add(Path(meant["module"]).name.removesuffix(".so"))
        elif depth < _MAX_DEPTH:
            found |= _modules(etc, other, depth + 1)
    return frozenset(found)


def _is_readable(etc: Path) -> bool:
    return os.access(etc / "shadow", os.R_OK, effective_ids=True)


def _server_can_read(etc: Path) -> bool:
    """Tell whether the user that the units run as can; where there is none such, whether we can."""
    try:
        ours = pwd.getpwnam(OUR_USER)
        shadow = (etc / "shadow").stat()
    except (KeyError, OSError):
        return _is_readable(etc)
    if os.geteuid() not in (0, ours.pw_uid):
        return _is_readable(etc)
    own = set(os.getgrouplist(OUR_USER, ours.pw_gid))
    each = (own | _groups_of_unit(etc / "systemd" / "system" / f"{unit}.d") for unit in UNITS)
    return bool(shadow.st_mode & 0o040) and all(shadow.st_gid in groups for groups in each)


def _groups_of_unit(drop_ins: Path) -> set[int]:
    """Return the groups that drop-ins give a unit, beside those of its user."""
    found: set[int] = set()
    for path in drop_ins.glob("*.conf"):
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:
            continue
        for names in re.findall(r"^\s*SupplementaryGroups\s*=(.*)$", text, re.MULTILINE):
            for name in names.split():
                try:
                    found.add(grp.getgrnam(name).gr_gid)
                except KeyError:
                    continue
    return found
