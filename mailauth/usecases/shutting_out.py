"""What every change that is made against an intruder does to the links in mails that went out before it.

Whoever has read the mailbox once may hold the link that undoes the enrolment, and would take the second factor away
with it after its owner has replaced everything else. So it serves no more, nor does one that would confirm another
address. But such a change may be the intruder's as well, who has bound a phone of their own to somebody's account and
must not escape by it: where the enrolment could still be undone, a link in place of the old one is mailed to whoever
reads the mailbox now. It is good for no longer than the one before. Nor may the intruder void each new one before its
owner can press it: after so many changes in a day that no owner makes them, the last link stays good.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from mailauth.effects.store import mail_links
from mailauth.usecases.mailed_links import LinkPurpose, MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.notices import ADMINISTRATOR, NoticeKind, Origin

MAX_MADE_A_DAY: Final = 10
"""Links that undo an enrolment, by changes of one account in the portal; an administrator's makes another."""


def replace_links(
    connection: Connection, links: MailedLinks, account_id: int, origin: Origin, now: datetime
) -> dict[str, Any]:
    """Void an account's mailed links in the transaction of a change, and make one that undoes its enrolment anew.

    Returns the new one as facts for the mail about the change: `link`, `since` (of the enrolment) and `until` (of the
    link), in ISO 8601. None of them where the enrolment cannot be undone any more, or the link before stays good.
    """
    links.void_confirming(connection, account_id, now)
    purpose = LinkPurpose.UNDO_ENROLMENT
    before = mail_links.newest(connection, account_id, purpose, now)
    if before is None:
        return {}
    made = mail_links.count_since(connection, account_id, purpose, now - timedelta(days=1))
    if made >= MAX_MADE_A_DAY and origin != ADMINISTRATOR:
        return {}
    links.void_undoing(connection, account_id, now)
    link = links.make(connection, account_id, purpose, before.subject, now, before.expires_at)
    enrolled_at = datetime.fromtimestamp(int(before.subject), UTC)
    return {"link": link, "since": enrolled_at.isoformat(), "until": before.expires_at.isoformat()}


def mail_new_link(
    connection: Connection, links: MailedLinks, notices: Notices, account_id: int, origin: Origin, now: datetime
) -> None:
    """Do the same for a change that is told by no mail of its own, or not to the same addresses."""
    facts = replace_links(connection, links, account_id, origin, now)
    if facts:
        notices.tell(connection, account_id, NoticeKind.UNDO_LINK_REPLACED, origin, now, **facts)
