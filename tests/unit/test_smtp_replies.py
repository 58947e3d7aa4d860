"""MAIL4: only what a server says of the recipient, by the codes made for it, ends a mail; anything else waits."""

from mailauth.core.relay_streak import SEVERAL, Refusal, RelayStreak
from mailauth.core.smtp_replies import Reply, Stage

ABOUT_THE_RECIPIENT = (
    "550 5.1.1 no such user",
    "550 5.1.2 no such domain",
    "501 5.1.3 bad address",
    "551 5.1.6 moved",
    "556 5.1.10 null MX",
    "550 5.2.1 mailbox disabled",
    "550 5.1.1",
)
ABOUT_ANYTHING_ELSE = (
    "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname",
    "554 5.7.1 <a@b>: Relay access denied",
    "550 5.1.8 bad sender domain",
    "550 5.1.7 bad sender",
    "550 5.1.0 other address",
    "552 5.2.2 mailbox full",
    "552 5.3.4 message too big",
    "550 5.7.26 unauthenticated",
    "530 5.7.0 Authentication required",
    "554 5.1.11 not one that is known",
    "550 5.2.10 not 5.2.1",
    "550",
    "550 no such user",
    "550 see rule 5.1.1 of ours",
    "551 user not local",
    "553 5.1.1x odd",
    "450 5.1.1 of two minds",
    "550 4.1.1 of two minds",
    "450 4.1.1 later",
    "421 4.7.0 too many connections",
)


def reply(line: str, stage: Stage = Stage.RECIPIENT) -> Reply:
    code, _, text = line.partition(" ")
    return Reply(stage, int(code), text)


def test_only_what_is_about_the_recipient_is_final_and_only_by_its_enhanced_code() -> None:
    for line in ABOUT_THE_RECIPIENT:
        assert reply(line).is_about_the_recipient, line
        assert reply(line, Stage.CONTENT).is_about_the_recipient, line
    for line in ABOUT_ANYTHING_ELSE:
        assert not reply(line).is_about_the_recipient, line


def test_nothing_is_about_a_recipient_that_the_server_has_not_heard_of() -> None:
    for line in (*ABOUT_THE_RECIPIENT, *ABOUT_ANYTHING_ELSE):
        for stage in (Stage.SESSION, Stage.SENDER):
            assert not reply(line, stage).is_about_the_recipient, line


def test_refusals_are_alike_by_their_codes_whatever_they_say_of_each_mail() -> None:
    assert reply("550 5.1.1 <a@b>: unknown\nrequest 17").kind == reply("550 5.1.1 <c@d>: unknown").kind == "550 5.1.1"
    assert reply("550 no").kind == "550"
    assert str(reply("550 5.1.1 one\n5.1.1 two")) == "550 5.1.1 one 5.1.1 two"


def refusals(*recipients: str, reason: str = "550 5.1.1", first_id: int = 1) -> list[Refusal]:
    return [Refusal(first_id + at, recipient, reason) for at, recipient in enumerate(recipients)]


def test_several_recipients_refused_alike_are_no_coincidence() -> None:
    streak = RelayStreak()
    assert streak.note(accepted=False, refused=refusals("a@x", "a@x", "a@x")) is None, "one recipient"
    assert streak.note(accepted=False, refused=refusals("b@x", reason="504 5.5.2")) is None, "another reason"
    assert streak.note(accepted=False, refused=refusals(*(f"{n}@x" for n in range(SEVERAL)))) == "550 5.1.1"


def test_they_may_be_refused_one_after_the_other() -> None:
    streak = RelayStreak()
    found = [streak.note(accepted=False, refused=refusals(f"{n}@x", first_id=n)) for n in range(SEVERAL)]
    assert found == [*[None] * (SEVERAL - 1), "550 5.1.1"]


def test_a_relay_that_has_taken_a_mail_has_nothing_against_us() -> None:
    streak = RelayStreak()
    many = refusals(*(f"{n}@x" for n in range(9)))
    assert streak.note(accepted=True, refused=many) is None
    assert streak.note(accepted=False, refused=refusals("a@x", "b@x")) is None


def test_a_doubted_refusal_is_believed_once_the_relay_has_taken_another_mail() -> None:
    streak = RelayStreak()
    dead = refusals(*(f"{n}@x" for n in range(SEVERAL)))
    assert streak.note(accepted=False, refused=dead) is not None
    assert all(streak.doubts(refusal.mail_id) for refusal in dead)
    assert all(streak.doubts(refusal.mail_id) for refusal in dead), "nothing was taken yet"
    streak.note(accepted=True, refused=[])
    assert streak.note(accepted=False, refused=dead) is None, "they say nothing about the relay any more"
    assert not any(streak.doubts(refusal.mail_id) for refusal in dead)
