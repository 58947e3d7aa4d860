"""Why a verdict is what it is: the vocabulary of the log, of `mailauth check` and of login activity.

One enumeration for each kind of verdict, so that none can have another's reason. Clients never see any of them.
"""

from enum import StrEnum


class WhyGranted(StrEnum):
    """Why a login is accepted."""

    SECOND_FACTOR_GIVEN = "second-factor-given"
    APP_PASSWORD_GIVEN = "app-password-given"
    REMEMBERED = "remembered"
    BEFORE_CUTOVER = "before-cutover"
    EXEMPT = "exempt"
    TO_ENROL = "to-enrol"
    PASSWORD_CONFIRMED = "password-confirmed"


class WhyDenied(StrEnum):
    """Why a login is refused."""

    NAME_MALFORMED = "name-malformed"
    SECRET_MALFORMED = "secret-malformed"
    REQUEST_MALFORMED = "request-malformed"
    ACCOUNT_UNKNOWN = "account-unknown"
    ACCOUNT_DISABLED = "account-disabled"
    ACCOUNT_CHANGED = "account-changed"
    PASSWORD_WRONG = "password-wrong"
    PASSWORD_EXPIRED = "password-expired"
    DISABLED_AT_SOURCE = "disabled-at-source"
    SERVICE_CLOSED_AT_SOURCE = "service-closed-at-source"
    NETWORK_CLOSED_AT_SOURCE = "network-closed-at-source"
    PASSWORD_REFUSED_ELSEWHERE = "password-refused-elsewhere"
    CODE_WRONG = "code-wrong"
    CODE_WRONG_AGAIN = "code-wrong-again"
    CODE_NOT_JUDGED = "code-not-judged"
    NOT_TOLD = "not-told"
    CODE_MISSING = "code-missing"
    CODE_REPLAYED = "code-replayed"
    CODE_REPLAYED_BY_SAME_CLIENT = "code-replayed-by-same-client"
    CODE_SPENT_AHEAD = "code-spent-ahead"
    PASSWORD_AND_CODE_WRONG = "password-and-code-wrong"
    RECOVERY_CODE_WRONG = "recovery-code-wrong"
    NOT_ENROLLED = "not-enrolled"
    APP_PASSWORD_UNKNOWN = "app-password-unknown"
    APP_PASSWORD_REVOKED = "app-password-revoked"
    APP_PASSWORD_EXPIRED = "app-password-expired"
    APP_PASSWORD_SERVICE = "app-password-other-service"
    APP_PASSWORD_NETWORK = "app-password-other-network"


class WhyUnavailable(StrEnum):
    """Why nothing can be said of a login now."""

    THROTTLED = "throttled"
    SOURCE_UNAVAILABLE = "source-unavailable"
    STORE_UNAVAILABLE = "store-unavailable"
    KEY_UNAVAILABLE = "key-unavailable"
    HASH_UNREADABLE = "hash-unreadable"
    OVERLOADED = "overloaded"
    DEADLINE = "deadline"
    INTERNAL_ERROR = "internal-error"


Reason = WhyGranted | WhyDenied | WhyUnavailable
