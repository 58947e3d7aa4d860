"""Logging in, and proving it again before a change: what was typed goes to the same verifier as every login.

The same rules, limits and log lines as for IMAP (requirement LIM4). Whoever is refused reads one sentence, whatever
the reason: it names what the form asked for. Only where too much was tried it says when to try again.
"""

import time
from datetime import datetime, timedelta
from math import ceil
from typing import assert_never

from starlette.exceptions import HTTPException

from mailauth.edges.portal.forms import LoginForm, ProofForm, combined
from mailauth.edges.portal.visit import SERVICE, Visit
from mailauth.effects import attempt_log
from mailauth.vocabulary.model import Ask, Attempt, Credential, Denied, Granted, Unavailable, Verdict
from mailauth.vocabulary.reasons import WhyUnavailable
from mailauth.vocabulary.secret import Secret

RECOVERY_SUFFICES_FOR = timedelta(minutes=10)
"""How long after a login with a recovery code the password alone is asked for: another code would be burnt."""


async def log_in(visit: Visit, form: LoginForm) -> bool:
    """Log the visitor in, or put on the form why not."""
    secret = combined(form.password.data, form.code.data)
    granted = await _verify(visit, form, Attempt((form.account.data or "").strip(), secret, SERVICE))
    if granted is None:
        return False
    await visit.enter(granted)
    return True


async def confirm_password(visit: Visit, form: ProofForm) -> bool:
    """Have the password confirmed of who has no second factor yet, or put on the form why not."""
    secret = combined(form.password.data, "")
    return await _prove_again(visit, form, secret, Ask.PASSWORD)


async def prove_again(visit: Visit, form: ProofForm) -> bool:
    """Have password and code given again before a change, or put on the form why not. The cookie changes."""
    secret = combined(form.password.data, form.code.data if form.asks_code else "")
    return await _prove_again(visit, form, secret, Ask.PROOF if form.asks_code else Ask.PASSWORD)


def asks_code(visit: Visit) -> bool:
    """Tell whether a change takes the second factor again, beside the password.

    Not from who has none yet, and not right after a recovery code let them in.
    """
    me = visit.me
    if not me.is_enrolled:
        return False
    came_by_recovery_code = me.credential is Credential.PASSWORD_AND_RECOVERY_CODE
    return not (came_by_recovery_code and timedelta(0) <= visit.now - me.proved_at < RECOVERY_SUFFICES_FOR)


async def _prove_again(visit: Visit, form: ProofForm, secret: Secret, ask: Ask) -> bool:
    attempt = Attempt(visit.me.account, secret, SERVICE, session=str(visit.me.id), ask=ask)
    granted = await _verify(visit, form, attempt)
    if granted is None:
        return False
    if granted.account != visit.me.account:
        raise HTTPException(403)
    await visit.renew(granted)
    return True


async def _verify(visit: Visit, form: LoginForm | ProofForm, attempt: Attempt) -> Granted | None:
    installation = visit.installation
    attempt = attempt._replace(client=visit.client, agent=visit.agent, mechanism="FORM")
    started = time.perf_counter()
    verdict = await installation.verifier.verify(attempt)
    attempt_log.record(attempt, verdict, "", (time.perf_counter() - started) * 1000)
    return _or_why_not(visit, form, verdict)


def _or_why_not(visit: Visit, form: LoginForm | ProofForm, verdict: Verdict) -> Granted | None:
    match verdict:
        case Granted():
            return verdict
        case Denied():
            form.problems.append(denial(visit, form))
            return None
        case Unavailable(reason=WhyUnavailable.THROTTLED):
            form.problems.append(too_many_tries(visit, verdict.retry_after_s))
            return None
        case Unavailable():
            raise HTTPException(503)
        case _:
            assert_never(verdict)


def denial(visit: Visit, form: LoginForm | ProofForm) -> str:
    """Return the one sentence for every refusal of what a form asked for (requirement ENU1)."""
    if isinstance(form, ProofForm):
        if form.asks_code:
            return visit.gettext("The password or the code is not right. Check both and try again.")
        return visit.gettext("The password is not right. Try again.")
    return visit.gettext("The address, the password or the code is not right. Check all three and try again.")


def too_many_tries(visit: Visit, retry_after_s: float | None) -> str:
    """Return that somebody has to wait, and until when."""
    if not retry_after_s:
        return visit.gettext("Too many tries. Wait a few minutes, then try again.")
    return wait_until(visit, visit.now + timedelta(seconds=ceil(retry_after_s / 60) * 60))


def wait_until(visit: Visit, until: datetime) -> str:
    """Return that somebody has to wait until a moment."""
    minutes = max(1, ceil((until - visit.now).total_seconds() / 60))
    if minutes < 120:
        words = visit.translations.ngettext(
            "Too many tries. Try again in %(minutes)d minute.",
            "Too many tries. Try again in %(minutes)d minutes.",
            minutes,
        )
        return words % {"minutes": minutes}
    languages, zone = visit.installation.languages, visit.zone
    spoken = languages.format_moment(until, visit.language, zone, with_utc=False)
    return visit.gettext("Too many tries. Try again after %(moment)s.") % {"moment": spoken}
