"""The queries for systems that are known: their tables, read as their own Dovecot configuration reads them.

None of them takes a forwarding as a name to log in by: its target may be anybody. An alias domain is one. None takes
another address of a user, which in panels whoever has the password may change: recovery codes are mailed there.
"""

from collections.abc import Mapping
from typing import NamedTuple

from mailauth.vocabulary.errors import InvalidValue


class Queries(NamedTuple):
    """`lookup` of one user, `list` of all; `alias_domains`: pairs of a domain and the one that it stands for."""

    lookup: str
    list: str
    alias_domains: str = ""
    by_service: Mapping[str, str] = {}


_POSTFIXADMIN = """
SELECT m.username AS name, m.password AS hash, m.created AS uid, {alias} AS alias_domains,
       CASE WHEN m.active = {true} AND d.active = {true} THEN 1 ELSE 0 END AS active
FROM mailbox m JOIN domain d ON d.domain = m.domain
"""
_IREDMAIL = """
SELECT m.username AS name, m.password AS hash, m.created AS uid, {alias} AS alias_domains,
       m.language AS language, m.allow_nets AS allow_nets,
       CASE WHEN m.active = 1 AND d.active = 1 AND d.backupmx = 0{service} THEN 1 ELSE 0 END AS active
FROM mailbox m JOIN domain d ON d.domain = m.domain
"""
_MAILCOW = """
SELECT m.username AS name, m.password AS hash, m.created AS uid, {alias} AS alias_domains,
       CASE WHEN m.active = 1 AND d.active = 1{service} THEN 1 ELSE 0 END AS active
FROM mailbox m JOIN domain d ON d.domain = m.domain
"""
_ONE = """
LEFT JOIN alias_domain a ON a.target_domain = m.domain AND a.alias_domain = :domain AND a.active = {true}
WHERE {users}(m.username = :user OR (m.local_part = :local AND a.alias_domain = :domain))
"""
_PAIRS = "SELECT alias_domain, target_domain FROM alias_domain WHERE active = {true}"
_IREDMAIL_SERVICES = {"imap": "imap", "pop3": "pop3", "smtp": "smtp", "sieve": "managesieve"}
_MAILCOW_SERVICES = {"imap": "imap", "pop3": "pop3", "smtp": "smtp", "sieve": "sieve"}


def _postfixadmin() -> Queries:
    """mailbox, domain, alias_domain of 3.x and 4.x, on MariaDB, PostgreSQL and SQLite alike."""
    yes = {"true": "'1'"}  # tinyint, boolean and integer all compare with it
    base, one = _POSTFIXADMIN, _ONE.format(users="", **yes)
    return Queries(
        base.format(alias="a.alias_domain", **yes) + one, base.format(alias="''", **yes), _PAIRS.format(**yes)
    )


def _iredmail() -> Queries:
    """vmail.mailbox, domain, alias_domain, with a column for each service, secured or not."""
    one = _ONE.format(users="", true="1")

    def lookup(service: str) -> str:
        column = f"m.enable{service}"
        allowed = f" AND CASE WHEN :secured = 1 THEN {column}secured ELSE {column} END = 1" if service else ""
        return _IREDMAIL.format(alias="a.alias_domain", service=allowed) + one

    return Queries(
        lookup(""),
        _IREDMAIL.format(alias="''", service=""),
        _PAIRS.format(true="1"),
        {service: lookup(column) for service, column in _IREDMAIL_SERVICES.items()},
    )


def _mailcow() -> Queries:
    """mailbox, domain, alias_domain of MariaDB; rooms and shared mailboxes (`kind`) log in nowhere."""
    one = _ONE.format(users="m.kind = '' AND ", true="1")

    def lookup(service: str) -> str:
        path = f"'$.{service}_access'"
        allowed = f" AND COALESCE(JSON_VALUE(m.attributes, {path}), '1') = '1'" if service else ""
        return _MAILCOW.format(alias="a.alias_domain", service=allowed) + one

    return Queries(
        lookup(""),
        _MAILCOW.format(alias="''", service="") + "WHERE m.kind = ''",
        _PAIRS.format(true="1"),
        {service: lookup(key) for service, key in _MAILCOW_SERVICES.items()},
    )


def _mail_in_a_box() -> Queries:
    """users.sqlite. An account that is archived has no row any more."""
    base = "SELECT email AS name, password AS hash, id AS uid FROM users"
    return Queries(f"{base} WHERE email = :user", base)


PRESETS = {
    "postfixadmin": _postfixadmin,
    "iredmail": _iredmail,
    "mailcow": _mailcow,
    "mail-in-a-box": _mail_in_a_box,
}


def of(preset: str) -> Queries:
    """Return a preset's queries. Raises InvalidValue for one that is not known."""
    if preset not in PRESETS:
        raise InvalidValue(f"there is no preset {preset!a}; there are: {', '.join(PRESETS)}")
    return PRESETS[preset]()
