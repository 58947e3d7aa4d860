"""What writes mails and hands them to a server, on top of an installation: for whoever sends, and nobody else."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from mailauth.effects.mails.writing import Letterhead, Mails
from mailauth.effects.smtp import SmtpServer
from mailauth.usecases.campaign import Campaign
from mailauth.usecases.delivery import Delivery
from mailauth.wiring import Installation


@dataclass(frozen=True, slots=True)
class Mailing:
    """Mails, their delivery, and the announcement to everybody."""

    mails: Mails
    delivery: Delivery
    campaign: Campaign


def of(installation: Installation) -> Mailing:
    """Return what sends an installation's mails."""
    configuration, policy, clock = installation.configuration, installation.policy, installation.clock
    provider, portal, mail = configuration.provider, configuration.portal, configuration.mail
    letterhead = Letterhead(provider.name, provider.support, mail.sender, portal.url, portal.colour, policy)
    mails = Mails(installation.languages, letterhead)
    server = SmtpServer(
        mail.host,
        mail.port,
        mail.tls,
        mail.sender,
        mail.user,
        mail.password_file,
        mail.helo,
        (urlsplit(portal.url).hostname or "", mail.sender.rpartition("@")[2]),
    )
    database, notices, domain = installation.database, installation.notices, configuration.accounts.default_domain
    return Mailing(
        mails,
        Delivery(database, notices, mails, server, clock),
        Campaign(database, notices, mails, installation.languages, policy, domain, clock),
    )
