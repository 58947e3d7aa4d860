"""Configuration in, every object out: the only place that constructs. Opens the key file and the database.

What only some processes need has a module of its own (`mailing.py`), so that the others import none of it.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

from mailauth import __version__
from mailauth.core.clock import Clock
from mailauth.core.policy import Policy
from mailauth.core.refusal_times import RefusalTimes
from mailauth.core.source_entry import DomainPatterns
from mailauth.core.texts import RefusalTexts
from mailauth.effects import keyring, sources
from mailauth.effects.configuration import digest
from mailauth.effects.configuration.places import key_file
from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.configuration.source_sections import (
    ImapSection,
    LdapSection,
    OwnSection,
    PamSection,
    SourceSection,
)
from mailauth.effects.keyring import Purpose
from mailauth.effects.languages import Languages
from mailauth.effects.passwords import HashPool, PasswordHasher
from mailauth.effects.sources import ListedSource
from mailauth.effects.sources.own import OwnTable
from mailauth.effects.sources.stored_hashes import StoredHashes
from mailauth.effects.store import schema
from mailauth.effects.store.database import Database
from mailauth.usecases import key_fingerprints
from mailauth.usecases.account_import import AccountImport
from mailauth.usecases.accounts import Accounts
from mailauth.usecases.activity import Activity
from mailauth.usecases.app_password_import import AppPasswordImport
from mailauth.usecases.app_passwords import AppPasswords
from mailauth.usecases.authenticator_import import AuthenticatorImport
from mailauth.usecases.authenticators import Authenticators
from mailauth.usecases.crowds import Crowds
from mailauth.usecases.directory import Directory
from mailauth.usecases.directory_comparison import Tools
from mailauth.usecases.enrolment import Enrolment
from mailauth.usecases.explain import Explainer
from mailauth.usecases.housekeeping import Housekeeping
from mailauth.usecases.limits import AccountLimits
from mailauth.usecases.login.app_password_logins import AppPasswordLogins
from mailauth.usecases.login.device_networks import DeviceNetworks
from mailauth.usecases.login.foreign_app_passwords import ForeignAppPasswords
from mailauth.usecases.login.login_notices import LoginNotices
from mailauth.usecases.login.paced_refusals import PacedRefusals
from mailauth.usecases.login.password_check import Link, PasswordCheck
from mailauth.usecases.login.refunds import Refunds
from mailauth.usecases.login.refused_strings import RefusedStrings
from mailauth.usecases.login.renewals import Renewals
from mailauth.usecases.login.reservation import Reservation
from mailauth.usecases.login.settlement import Settlement
from mailauth.usecases.login.verifier import Verifier
from mailauth.usecases.lookups import Lookups
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.usecases.own_account import OwnAccount
from mailauth.usecases.portal_sessions import PortalSessions
from mailauth.usecases.presence import Presence
from mailauth.usecases.recovery_codes import RecoveryCodes
from mailauth.usecases.renaming import Renaming
from mailauth.usecases.set_up import SetUp
from mailauth.usecases.source_accounts import SourceAccounts
from mailauth.usecases.time_watch import TimeWatch
from mailauth.vocabulary.errors import InvalidValue, StoreUnavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Installation:
    """A wired-up mailauth. Close it when done."""

    configuration: Configuration
    clock: Clock
    database: Database
    policy: Policy
    refusal_texts: RefusalTexts
    passwords: PasswordCheck
    accounts: Accounts
    account_import: AccountImport
    authenticator_import: AuthenticatorImport
    app_password_import: AppPasswordImport
    enrolment: Enrolment
    app_passwords: AppPasswords
    recovery_codes: RecoveryCodes
    renaming: Renaming
    directory: Directory
    explainer: Explainer
    limits: AccountLimits
    housekeeping: Housekeeping
    time_watch: TimeWatch
    presence: Presence
    verifier: Verifier
    lookups: Lookups
    languages: Languages
    notices: Notices
    sessions: PortalSessions
    set_up: SetUp
    own_account: OwnAccount
    activity: Activity
    login_notices: LoginNotices
    device_networks: DeviceNetworks

    def close(self) -> None:
        """Let what runs end, write down what was seen, and close the database."""
        self.passwords.close()
        self.verifier.close()
        self.lookups.close()
        for write_down in (self.activity.flush, self.login_notices.flush, self.device_networks.flush):
            try:
                write_down()
            except StoreUnavailable as error:
                log.warning("what was seen last of logins was lost: %s", error)
        self.database.close()


def _steady() -> float:
    """Return seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _link(place: int, section: SourceSection, parts: sources.Parts) -> Link:
    try:
        source = sources.make(section, parts)
    except InvalidValue as error:
        raise InvalidValue(f"sources[{place}], {section.name}: {error}") from error
    return Link(
        source,
        DomainPatterns(section.domains),
        goes_on=section.on_unknown == "next",
        makes_accounts=not isinstance(section, OwnSection) and section.accounts == "login",
        hard_limit=section.hard_limit if isinstance(section, PamSection | LdapSection | ImapSection) else None,
    )


def build(
    configuration: Configuration, clock: Clock = lambda: datetime.now(UTC), steady: Callable[[], float] = _steady
) -> Installation:
    """Return a working installation.

    Raises InvalidValue for a password source that cannot be, KeyUnusable for the key file, also where the database is
    sealed with another one, and SchemaMismatch and StoreUnavailable for the database.
    """
    ring = keyring.read(key_file(configuration))
    database = Database(configuration.database.url)
    policy = configuration.cutover.policy()
    domain = configuration.accounts.default_domain
    time_watch = TimeWatch(database, policy, domain, clock, steady)
    try:
        schema.require_current(database)
        key_fingerprints.require_same(database, ring, key_file(configuration), clock())
        time_watch.load()
    except BaseException:
        database.close()
        raise
    strength = configuration.password.argon2
    hasher = PasswordHasher(strength.time_cost, strength.memory_kib, strength.parallelism)
    provider, refusal = configuration.provider, configuration.refusal
    limits = configuration.limits.limits()
    trusted = tuple(ip_network(text) for text in configuration.limits.trusted_networks)
    account_limits = AccountLimits(database, limits, trusted, domain, clock)
    notices = Notices(ring, configuration.mail.sender, provider.language)
    pam_users = configuration.pam_users()
    links = MailedLinks(ring)
    own_sources = frozenset(each.name for each in configuration.password_sources() if isinstance(each, OwnSection))
    shortest = configuration.password.min_characters
    accounts = Accounts(database, hasher, notices, links, pam_users, shortest, domain, clock, own_sources)
    hash_pool = HashPool()
    parts = sources.Parts(hasher, hash_pool, domain, pam_users, accounts.sharing_pam_user)
    passwords = PasswordCheck(
        [_link(place, section, parts) for place, section in enumerate(configuration.password_sources(), 1)],
        OwnTable(StoredHashes(hasher, hash_pool)),
        lambda secret: ring.mac(Purpose.WRONG_AT_SOURCE, secret),
    )
    listed = {each.name: each for each in passwords.sources if isinstance(each, ListedSource) and each.is_listed}
    source_accounts = SourceAccounts(database, ring, listed)
    renaming = Renaming(database, ring, pam_users, domain)
    directory = Directory(
        Tools(
            database,
            renaming,
            links,
            notices,
            timedelta(days=configuration.directory.keep_days),
            configuration.directory.mail_to,
        ),
        ring,
        listed,
        clock,
    )
    portal = configuration.portal
    activity = Activity(database, Crowds(trusted))
    login_notices = LoginNotices(database, notices)
    device_networks = DeviceNetworks(database, trusted)
    languages = Languages(provider.language)
    idle, life = timedelta(seconds=portal.idle_s), timedelta(seconds=portal.life_s)
    sessions = PortalSessions(database, ring, idle, life, clock)
    refunds, refused, withheld = Refunds(os.urandom), RefusedStrings(), RefusedStrings()
    authenticators = Authenticators(ring, notices, links)
    recovery_codes = RecoveryCodes(database, ring, notices, links, domain, clock)
    reservation = Reservation(
        database,
        ring,
        limits,
        trusted,
        configuration.login_memory.profiles(),
        refunds,
        refused,
        withheld,
    )
    return Installation(
        configuration=configuration,
        clock=clock,
        database=database,
        policy=policy,
        refusal_texts=RefusalTexts(
            provider.name, provider.url, refusal.imap_code, refusal.before, refusal.after, provider.language
        ),
        passwords=passwords,
        accounts=accounts,
        account_import=AccountImport(
            database, ring, notices, links, pam_users, domain, clock, keeps_passwords=configuration.keeps_passwords()
        ),
        authenticator_import=AuthenticatorImport(database, ring, authenticators, recovery_codes, domain, clock),
        app_password_import=AppPasswordImport(
            database, ring, notices, domain, timedelta(days=configuration.imports.foreign_days), clock
        ),
        enrolment=Enrolment(database, ring, notices, links, authenticators, provider.name, domain, clock, policy.zone),
        app_passwords=AppPasswords(database, ring, notices, links, domain, clock),
        recovery_codes=recovery_codes,
        renaming=renaming,
        directory=directory,
        explainer=Explainer(database, policy, account_limits, time_watch, passwords, domain, clock),
        limits=account_limits,
        housekeeping=Housekeeping(database, clock, steady),
        time_watch=time_watch,
        presence=Presence(database, __version__, digest.of(configuration), clock),
        verifier=Verifier(
            database=database,
            reservation=reservation,
            settlement=Settlement(database, notices, refunds, refused, withheld),
            keyring=ring,
            passwords=passwords,
            source_accounts=source_accounts,
            renewals=Renewals(database, passwords, source_accounts),
            policy=policy,
            activity=activity,
            login_notices=login_notices,
            app_passwords=AppPasswordLogins(
                database=database,
                keyring=ring,
                passwords=passwords,
                source_accounts=source_accounts,
                device_networks=device_networks,
                foreign=ForeignAppPasswords(database, ring, hasher),
                clock=clock,
                monotonic=time.monotonic,
            ),
            default_domain=domain,
            clock=clock,
            deadline_s=configuration.server.deadline_s,
            refusals=PacedRefusals(
                RefusalTimes(configuration.server.refusal_floor_ms / 1000, configuration.server.deadline_s),
                trusted,
                time.monotonic,
            ),
            monotonic=time.monotonic,
        ),
        lookups=Lookups(database, passwords, domain, configuration.server.deadline_s, time.monotonic),
        languages=languages,
        notices=notices,
        sessions=sessions,
        set_up=SetUp(database, ring, sessions, authenticators, recovery_codes, provider.name, clock, policy.zone),
        own_account=OwnAccount(database, notices, links, clock),
        activity=activity,
        login_notices=login_notices,
        device_networks=device_networks,
    )
