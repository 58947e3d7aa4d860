"""What people type into the pages, and what is said of it when it cannot be meant.

Only the shape is judged here: whether a password or a code is right is not known to this module. Templates draw the
fields; a password never goes back into a page.
"""

import re
from datetime import datetime, tzinfo
from gettext import NullTranslations
from typing import Any, NoReturn

from starlette.datastructures import FormData
from wtforms import DateField, Form, PasswordField, SelectMultipleField, StringField
from wtforms.validators import Optional, StopValidation

from mailauth.core import mail_address, moments, otp, recovery, typed
from mailauth.core.addresses import parse_network
from mailauth.usecases.app_passwords import is_device_name
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import Network
from mailauth.vocabulary.secret import Secret

TOKEN_FIELD = "csrf"
"""The field of every form that brings the visitor's own token along."""
MAX_DEVICE_NAME = 60
MAX_NETWORKS = 10
MAX_STRANGE = 10
"""Characters that are named as what is wrong with a code."""

SERVICES = {"imap": ("imap",), "pop3": ("pop3",), "smtp": ("smtp",), "sieve": ("sieve",)}
"""What an app password can be made for, by the name of its check box, as the services that it then opens."""


class PortalForm(Form):
    """A form whose messages are in the visitor's language."""

    class Meta:
        """Where WTForms finds them."""

        translations: NullTranslations = NullTranslations()

        def get_translations(self, form: object) -> NullTranslations:
            """Return the catalog."""
            return self.translations

    def __init__(self, typed: FormData | None, translations: NullTranslations, **values: Any) -> None:
        super().__init__(typed, meta={"translations": translations}, **values)
        self.problems: list[str] = []
        """What is wrong with the form as a whole, or with none of its fields in particular."""

    def errors_by_field(self) -> list[tuple[str, str]]:
        """Return each message with the field it belongs to, in the order of the page; those of the whole first."""
        whole = [("", problem) for problem in self.problems]
        return whole + [(field.id, str(message)) for field in self for message in field.errors]


def _filled(message: str, *, blanks_count: bool = False) -> Any:
    """Return a validator that asks for something to be typed; `message` is translated when it is shown.

    `blanks_count`: blanks alone are something, as in a password.
    """

    def check(form: Form, field: Any) -> None:
        typed_ = field.data or ""
        if not (typed_ if blanks_count else typed_.strip()):
            raise StopValidation(field.gettext(message))

    return check


def _visible(text: str | None) -> str | None:
    """Return what was typed without what nobody sees in it."""
    return None if text is None else typed.line(text)


def _(message: str) -> str:
    """Mark a message for translation; the field that shows it translates it."""
    return message


class LoginForm(PortalForm):
    """Account, password, and the code where one has been set up."""

    account = StringField(validators=[_filled(_("Type your e-mail address."))])
    password = PasswordField(validators=[_filled(_("Type your password."), blanks_count=True)])
    code = StringField()

    def validate_code(self, field: Any) -> None:
        """Refuse what cannot be a code of any kind; none at all is right for who has not set it up yet."""
        _refuse_impossible_code(field)


class ProofForm(PortalForm):
    """Password and code again, before something is changed that guards the account."""

    password = PasswordField(validators=[_filled(_("Type your password."), blanks_count=True)])
    code = StringField()

    def __init__(
        self, typed: FormData | None, translations: NullTranslations, *, asks_code: bool = False, **values: Any
    ) -> None:
        super().__init__(typed, translations, **values)
        self.asks_code = asks_code

    def errors_by_field(self) -> list[tuple[str, str]]:
        """Return them with the proof's own last: it stands below whatever else a form asks for."""
        return sorted(super().errors_by_field(), key=lambda error: error[0] in (self.password.id, self.code.id))

    def validate_code(self, field: Any) -> None:
        """Ask for a code where the session has to give one."""
        if not self.asks_code:
            return
        if not (field.data or "").strip():
            raise StopValidation(field.gettext("Type the verification code that your app shows now."))
        _refuse_impossible_code(field)


class CodeForm(PortalForm):
    """The first code of a new authenticator. Each mistake is told by its own sentence."""

    code = StringField()

    def validate_code(self, field: Any) -> None:
        """Refuse what cannot be a verification code."""
        code = typed.code(field.data or "")
        if not code:
            raise StopValidation(field.gettext("Type the verification code that your app shows now."))
        strange = typed.strange_in_code(code, takes_recovery=False)
        if strange:
            _refuse_characters(field, _("A verification code has digits only. Take this out: %(found)s"), strange)
        if len(code) < otp.DIGITS:
            _refuse_length(field, _("This code is too short: %(typed)d of 6 digits. Type all six."), len(code))
        if len(code) > otp.DIGITS:
            _refuse_length(
                field, _("This code is too long: %(typed)d digits. A verification code has six."), len(code)
            )


class SavedCodeForm(PortalForm):
    """One of the recovery codes, typed to prove that they were saved."""

    code = StringField(validators=[_filled(_("Type one of your recovery codes."))])


class AppPasswordForm(ProofForm):
    """A new app password: for which device, and what it may open."""

    name = StringField(
        validators=[_filled(_("Give it a name, such as the device that it is for."))], filters=[_visible]
    )
    services = SelectMultipleField(choices=list(SERVICES))  # type: ignore[arg-type]  # the stubs know no plain names
    networks = StringField(filters=[_visible])
    expires = DateField(validators=[Optional()])

    def validate_name(self, field: Any) -> None:
        """Refuse a name that does not fit into a list."""
        if len(field.data.strip()) > MAX_DEVICE_NAME or not field.data.isprintable():
            message = field.gettext("A name has at most %(most)d characters.") % {"most": MAX_DEVICE_NAME}
            raise StopValidation(message)
        if not is_device_name(field.data.strip()):
            raise StopValidation(field.gettext("Give it a name, such as the device that it is for."))

    def validate_services(self, field: Any) -> None:
        """Ask for at least one."""
        if not field.data:
            raise StopValidation(field.gettext("Choose what this app password may do."))

    def validate_networks(self, field: Any) -> None:
        """Refuse what is no list of networks."""
        try:
            networks = self.chosen_networks()
        except InvalidValue:
            raise StopValidation(
                field.gettext("This is not a network. Write it as 192.0.2.0/24 or 2001:db8::/64, or leave it empty.")
            ) from None
        if len(networks) > MAX_NETWORKS:
            raise StopValidation(field.gettext("At most %(most)d networks.") % {"most": MAX_NETWORKS})

    def chosen_services(self) -> tuple[str, ...]:
        """Return the services that it may open; none in particular where all were chosen."""
        chosen = set(self.services.data or ())
        return (
            ()
            if chosen == set(SERVICES)
            else tuple(name for key in SERVICES if key in chosen for name in SERVICES[key])
        )

    def chosen_networks(self) -> tuple[Network, ...]:
        """Return the networks that it may be used from; none for any. Raises InvalidValue."""
        return tuple(parse_network(text) for text in re.split(r"[\s,;]+", self.networks.data or "") if text)

    def chosen_expiry(self, zone: tzinfo) -> datetime | None:
        """Return the end of its last day, as a day is in a zone."""
        return None if self.expires.data is None else moments.end_of_day(self.expires.data, zone)


class AddressForm(ProofForm):
    """Another address of the same person."""

    address = StringField(validators=[_filled(_("Type an e-mail address."))])

    def validate_address(self, field: Any) -> None:
        """Refuse what mail cannot be sent to."""
        try:
            mail_address.checked(mail_address.in_ascii(typed.address(field.data.strip())))
        except InvalidValue:
            strange = mail_address.strange_in(typed.address(field.data.strip()))
            if strange:
                _refuse_characters(field, _("An e-mail address cannot have this in it: %(found)s"), strange)
            raise StopValidation(
                field.gettext("This is not an e-mail address. Write it as name@example.org.")
            ) from None


def combined(password: str | None, code: str | None) -> Secret:
    """Return password and code as one secret, the way that every other door takes them."""
    return Secret(((password or "") + typed.code(code or "")).encode("utf-8", "replace"))


def _refuse_impossible_code(field: Any) -> None:
    """Refuse what is neither a verification code nor a recovery code, by its shape, and say what is wrong with it."""
    code = typed.code(field.data or "")
    if not code or typed.is_possible_code(code):
        return
    strange = typed.strange_in_code(code, takes_recovery=True)
    if strange:
        _refuse_characters(field, _("No code of ours has this in it: %(found)s"), strange)
    _refuse_length(
        field,
        _("A verification code has 6 digits, a recovery code %(recovery)d characters. You typed %(typed)d."),
        len(code),
    )


def _refuse_characters(field: Any, message: str, strange: str) -> NoReturn:
    found = " ".join(field.gettext("(blank)") if each == " " else each for each in strange[:MAX_STRANGE])
    raise StopValidation(field.gettext(message) % {"found": found})


def _refuse_length(field: Any, message: str, length: int) -> NoReturn:
    raise StopValidation(field.gettext(message) % {"typed": length, "recovery": recovery.CHARACTERS})
