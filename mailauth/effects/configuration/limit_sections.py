"""The sections on how many wrong logins are admitted, and for how long an accepted one is remembered."""

from datetime import timedelta
from ipaddress import ip_network

from pydantic import Field, field_validator

from mailauth.core.limiter import Limits, Rate
from mailauth.core.login_memory import Profile, Profiles
from mailauth.effects.configuration.fields import Line, Section, checked_networks


class LimitsSection(Section):
    """How many wrong logins are admitted: each kind so many at once, and one more every so many seconds."""

    source_burst: int = Field(60, ge=1, description="Wrong logins from one address (IPv6: a /64) at once.")
    source_interval_s: float = Field(60, gt=0, description="Seconds for one more.")
    site_burst: int = Field(600, ge=1, description="Wrong logins from one IPv6 /48 at once.")
    site_interval_s: float = Field(6, gt=0, description="Seconds for one more.")
    account_and_source_burst: int = Field(
        20, ge=1, description="Wrong logins to one account from one address at once."
    )
    account_and_source_interval_s: float = Field(120, gt=0, description="Seconds for one more.")
    account_burst: int = Field(
        50, ge=1, description="Wrong logins to one account from all addresses that are not familiar to it, at once."
    )
    account_interval_s: float = Field(
        86400, gt=0, description="Seconds for one more; a day keeps 30 days under 100 (NIST SP 800-63B s3.2.2)."
    )
    factor_burst: int = Field(
        50, ge=1, description="Wrong passwords with a right code to one account at once, while it is full of guesses."
    )
    factor_interval_s: float = Field(
        4320, gt=0, description="Seconds for one more; more often than anybody guesses a code by luck."
    )
    code_burst: int = Field(50, ge=1, description="Wrong codes with the right password to one account at once.")
    code_interval_s: float = Field(
        51840,
        gt=0,
        description="Seconds for one more; 50 in 30 days, for a guesser's chance under 4 in 1,000 a year.",
    )
    code_and_source_burst: int = Field(
        20, ge=1, description="Wrong codes with the right password to one account from one familiar address at once."
    )
    code_and_source_interval_s: float = Field(
        86400, gt=0, description="Seconds for one more; all familiar addresses together have what code_burst says."
    )
    repeat_burst: int = Field(
        60,
        ge=1,
        description="Secrets that were refused before, again from the same address (a /48: ten times), at once.",
    )
    repeat_interval_s: float = Field(
        2, gt=0, description="Seconds for one more; what comes faster counts as guesses, as if it were new."
    )
    trusted_networks: list[Line] = Field(
        default_factory=lambda: ["127.0.0.0/8", "::1/128"],
        description="Networks that speak for many people, such as a web mail host: no limit by address for them.",
    )

    @field_validator("trusted_networks")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        return checked_networks(value)

    def limits(self) -> Limits:
        """Return all configured limits."""
        return Limits(
            source=Rate(self.source_burst, self.source_interval_s),
            site=Rate(self.site_burst, self.site_interval_s),
            account_and_source=Rate(self.account_and_source_burst, self.account_and_source_interval_s),
            account=Rate(self.account_burst, self.account_interval_s),
            factor=Rate(self.factor_burst, self.factor_interval_s),
            code=Rate(self.code_burst, self.code_interval_s),
            code_and_source=Rate(self.code_and_source_burst, self.code_and_source_interval_s),
            repeat=Rate(self.repeat_burst, self.repeat_interval_s),
        )


class MemoryProfile(Section):
    """The login memory for clients in some networks, a web mail host for instance."""

    networks: list[Line] = Field(min_length=1, description="The clients' networks.")
    life_s: int = Field(36000, ge=1, le=86400, description="Seconds from the first login on.")
    idle_s: int = Field(1800, ge=0, description="Seconds within which it has to be used again; 0 for any.")
    max_uses: int = Field(10000, ge=1, description="Logins that one accepted password + code may serve.")

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        return checked_networks(value)


class LoginMemorySection(Section):
    """For how long an accepted password + code serves the other connections of the same client."""

    life_s: int = Field(600, ge=0, le=86400, description="Seconds from the first login on; 0 remembers nothing.")
    idle_s: int = Field(0, ge=0, description="Seconds within which it has to be used again; 0 for any.")
    max_uses: int = Field(1000, ge=1, description="Logins that one accepted password + code may serve.")
    profile: list[MemoryProfile] = Field(
        default_factory=list,
        description="Tables of networks with times of their own: a web mail host logs in at every click.",
    )

    def profiles(self) -> Profiles:
        """Return the profiles."""
        return Profiles(
            _profile(self), tuple((ip_network(text), _profile(own)) for own in self.profile for text in own.networks)
        )


def _profile(section: LoginMemorySection | MemoryProfile) -> Profile:
    idle = timedelta(seconds=section.idle_s) if section.idle_s else None
    return Profile(timedelta(seconds=section.life_s), idle, section.max_uses)
