"""What the layers say to one another: an attempt, a verdict, an account and what it holds.

Plain values without behaviour. Times are aware UTC datetimes; a step is a TOTP time step, the count of 30 s
periods since 1970 (RFC 6238 s4.2).
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple, NewType

from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from mailauth.vocabulary.secret import Secret

AccountName = NewType("AccountName", str)
"""An account's canonical name, `local@domain`; made by `core.names.canonicalise` only."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Ask(StrEnum):
    """What is asked of whoever logs in. In the digests of strings that were accepted or refused: never changed."""

    WHOLE = ""
    """All that the policy requires."""
    SECOND_FACTOR = "second-factor-only"
    """Somebody else checks the password (PAM modules behind ours), and is told where it ends."""
    PASSWORD = "password-only"
    """The portal has seen the second factor, or there is none yet: the secret is the password alone."""
    PROOF = "proof"
    """The whole again, in the portal, of who has an open session there and has given both factors for it."""


class Attempt(NamedTuple):
    """One presented login, as an edge received it. A named tuple, because making one is on the hot path.

    `agent`: what the client says it is, in a few words, for the owner to recognise it by. `session`: the service's,
    for the log; of a proof, the portal's session that it is for: an accepted string serves again there alone.
    """

    name: str
    secret: Secret
    service: str
    client: Address | None = None
    session: str = ""
    mechanism: str = "PLAIN"
    secured: str = ""
    ask: Ask = Ask.WHOLE
    agent: str = ""


class Credential(StrEnum):
    """What was presented, and accepted."""

    PASSWORD = "password"
    PASSWORD_AND_CODE = "password+code"
    PASSWORD_AND_RECOVERY_CODE = "password+recovery-code"
    CODE_ONLY = "code"
    RECOVERY_CODE_ONLY = "recovery-code"
    NOTHING = "nothing"
    APP_PASSWORD = "app-password"


@dataclass(frozen=True, slots=True)
class Granted:
    """The login is accepted, and what it spent is already spent.

    `tail_bytes`: where only the second factor was asked for, how many bytes at the end of the secret it was.
    `release`: in that case, the token by which it is reported should the password prove wrong: what was spent is
    given back, and the wrong password counts.
    `app_password_id`: which app password it was, for the owner's list of what was used last.
    `source`: which password source checked the password; None where none was asked.
    `epoch`: of the account as it was when this was decided. Whoever acts on the verdict later compares it: after a
    change of password or factors the verdict is void. None where nothing may be built on it later.
    `reply_name`: what mail servers call the account, where its source spells it in another way. `fields`: what else
    the source says of it for them; they may hold secrets of theirs.
    `digits`: of the account's verification codes, by which its strings read; None where it is not enrolled.
    `remembered_as`: the digest of what opened the portal, by which it serves again in the session that it opens.
    """

    account: AccountName
    credential: Credential
    reason: WhyGranted
    tail_bytes: int | None = None
    release: str | None = None
    app_password_id: int | None = field(default=None, compare=False)
    source: str | None = field(default=None, compare=False)
    epoch: int | None = field(default=None, compare=False)
    remembered_as: bytes | None = field(default=None, compare=False, repr=False)
    reply_name: str | None = field(default=None, compare=False)
    fields: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    digits: int | None = field(default=None, compare=False)


class Hint(StrEnum):
    """What a refused secret looks like, where that helps: for the log and the owner, never for the client."""

    CODE_SET_APART = "code-set-apart"
    """The code was right, and before it stood a blank, a dash or the like, which the password does not end in."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The login is refused. `account` is whom it was about, as a canonical name, whether or not it exists.

    `password_was_right` is for the owner's notice and the log, never for the client. `source`: which password source
    checked the password; None where none was asked.
    """

    reason: WhyDenied
    account: AccountName | None = None
    password_was_right: bool = False
    hint: Hint | None = field(default=None, compare=False)
    source: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing can be said now: the client is told to try again later.

    `retry_after_s`: where too much was tried, after how many seconds the next attempt is looked at.
    `withheld`: what was found and is not told, for the owner's notice and the log.
    """

    reason: WhyUnavailable
    account: AccountName | None = None
    retry_after_s: float | None = field(default=None, compare=False)
    withheld: Denied | None = field(default=None, compare=False)


Verdict = Granted | Denied | Unavailable


@dataclass(frozen=True, slots=True)
class TotpParameters:
    """How an authenticator makes its codes: `digits` 6 or 8, `period_s` 30 or 60, `algorithm` SHA1, SHA256 or SHA512.

    As in the Key URI format. Those that mailauth sets up have the defaults; those that people bring along may have
    others.
    """

    digits: int = 6
    period_s: int = 30
    algorithm: str = "SHA1"

    def __str__(self) -> str:
        return f"{self.digits} digits, {self.period_s} s, {self.algorithm}"


USUAL = TotpParameters()
"""What both named apps honour, and all that mailauth itself sets up."""


@dataclass(frozen=True, slots=True)
class ActiveTotp:
    """An authenticator in force: its row, its sealed seed, and the last step that was spent, in its own periods."""

    id: int
    sealed_seed: bytes
    key_id: str
    last_step: int
    parameters: TotpParameters = USUAL


@dataclass(frozen=True, slots=True)
class Account:
    """One mail user, as the verifier loads it. `epoch` rises with every change of password, factor or state.

    `former_names`: what it was called before, oldest first. `source`: the password source that it belongs to, empty
    while none has let it in; `uid`: who it is there; `hash_fingerprint`: of what is stored there, which changes with
    the password; `reply_name`: its spelling there, for mail servers. `is_disabled_there`: by that source's word,
    whoever else has disabled it.
    """

    id: int
    name: AccountName
    password_hash: str | None
    epoch: int
    disabled: bool
    totp: ActiveTotp | None
    exempt_until: datetime | None
    former_names: tuple[AccountName, ...] = ()
    source: str = ""
    uid: str | None = None
    hash_fingerprint: bytes | None = None
    reply_name: str | None = None
    is_disabled_there: bool = False


@dataclass(frozen=True, slots=True)
class ServiceCopy:
    """What an account's source said of it for a service (empty: for any), as of a moment.

    `allow_nets`: the only networks that it may log in from, if there are any. `fields`: for mail servers.
    """

    service: str
    is_allowed: bool
    allow_nets: tuple[Network, ...]
    fields: tuple[tuple[str, str], ...]
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class AppPassword:
    """A generated secret for one device. Empty `services` or `networks` mean: any mail service, any network.

    `source`, `copies`: the password source that its account belongs to, and what that said of it for services.
    """

    id: int
    account_id: int
    account: AccountName
    name: str
    selector: str
    key_id: str
    digest: bytes
    services: frozenset[str]
    networks: tuple[Network, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    account_disabled: bool
    former_names: tuple[AccountName, ...] = ()
    source: str = ""
    reply_name: str | None = None
    copies: tuple[ServiceCopy, ...] = ()


@dataclass(frozen=True, slots=True)
class Exemption:
    """An account that needs no second factor until a moment, with the reason that an administrator gave.

    Once it is enrolled (`is_enrolled`) it needs one all the same.
    """

    account: AccountName
    until: datetime
    reason: str
    is_enrolled: bool = False

    def is_in_force(self, now: datetime) -> bool:
        """Tell whether the account's password alone is enough because of this."""
        return now < self.until and not self.is_enrolled
