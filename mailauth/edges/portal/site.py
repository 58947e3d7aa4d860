"""One portal: what all of its pages work with, and what several of them look up. No page, and no request."""

from collections.abc import Sequence
from dataclasses import dataclass

from mailauth.edges.portal.assets import Assets
from mailauth.edges.portal.device_settings import MailServers
from mailauth.edges.portal.pages import Pages
from mailauth.usecases.activity import LoginSeen, Refusals
from mailauth.usecases.portal_sessions import Session
from mailauth.vocabulary.model import Credential, Network
from mailauth.wiring import Installation


@dataclass(frozen=True, slots=True)
class Portal:
    """What the pages work with."""

    installation: Installation
    pages: Pages
    assets: Assets
    provider: str
    own_origin: str
    own_host: str
    by_unix_socket: bool
    trusted_proxies: tuple[Network, ...]
    mail_servers: MailServers

    async def recent_logins(self, session: Session, limit: int) -> tuple[LoginSeen, ...]:
        """Return an account's logins that were let in, latest first. Raises StoreUnavailable or Overloaded."""
        activity = self.installation.activity
        return await self.installation.database.run(lambda: activity.let_in(session.account_id, limit))

    async def refusals(self, session: Session) -> Refusals:
        """Return an account's logins that were not let in."""
        activity = self.installation.activity
        return await self.installation.database.run(lambda: activity.refusals(session.account_id))

    async def last_uses(self, app_password_ids: Sequence[int]) -> dict[int, LoginSeen]:
        """Return where each of these app passwords was used last, by its id; none for those that never were."""
        activity = self.installation.activity
        return await self.installation.database.run(lambda: activity.last_use(app_password_ids))

    async def clients_with_password_alone(self, session: Session) -> list[LoginSeen]:
        """Return the mail apps that logged in with the password alone, each once: those that a second factor stops."""
        seen = await self.recent_logins(session, 200)
        found: dict[tuple[str, str], LoginSeen] = {}
        for login in seen:
            if login.outcome == "granted" and login.credential == Credential.PASSWORD and login.service != "portal":
                found.setdefault((login.agent or login.service, login.network), login)
        return list(found.values())
