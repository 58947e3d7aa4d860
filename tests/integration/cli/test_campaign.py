"""`mailauth campaign announce`: everybody who has not enrolled is written to, once, whatever happens in between."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from mailauth import wiring
from mailauth.effects.configuration import loading
from mailauth.effects.mails.writing import STEPS
from mailauth.effects.store.tables import account, outbox
from mailauth.usecases.giving_way import GivingWay
from mailauth.wiring import mailing
from tests.integration.cli.conftest import NOW, CommandLine
from tests.transactions import reading, writing

STORES = (
    "https://play.google.com/store/apps/details?id=com.google.android.apps.authenticator2",
    "https://apps.apple.com/app/google-authenticator/id388497605",
    "https://play.google.com/store/apps/details?id=com.azure.authenticator",
    "https://apps.apple.com/app/microsoft-authenticator/id983156458",
)


@pytest.fixture
def crowd(mailauth: CommandLine) -> Callable[[int], None]:
    """Give what adds many accounts at once, without passwords."""

    def add(count: int) -> None:
        rows = [{"name": f"user{n:04}@mailitwize.be", "epoch": 0, "created_at": NOW} for n in range(count)]
        with closing(installation(mailauth)) as ours, writing(ours.database) as connection:
            connection.execute(insert(account), rows)

    return add


def installation(mailauth: CommandLine) -> wiring.Installation:
    return wiring.build(loading.load(mailauth.config))


def recipients(mailauth: CommandLine) -> Counter[str]:
    with closing(installation(mailauth)) as ours, reading(ours.database) as connection:
        rows = connection.execute(select(outbox.c.recipient).where(outbox.c.kind == "announcement")).scalars()
        return Counter(rows)


def set_language(mailauth: CommandLine, name: str, language: str) -> None:
    with closing(installation(mailauth)) as ours, writing(ours.database) as connection:
        connection.execute(update(account).where(account.c.name == name).values(language=language))


def read(path: Path) -> Any:
    return message_from_bytes(path.read_bytes(), policy=modern)


def test_only_who_is_neither_enrolled_nor_disabled_is_written_to(mailauth: CommandLine) -> None:
    mailauth.enrol("enrolled")
    for name in ("todo", "disabled", "begun"):
        mailauth.run("account", "add", name, stdin="pw")
    mailauth.run("account", "disable", "disabled")
    mailauth.run("totp", "enrol", "begun")
    assert "2 mails queued" in mailauth.run("campaign", "announce").stdout
    assert recipients(mailauth) == {"todo@mailitwize.be": 1, "begun@mailitwize.be": 1}


def test_each_account_is_written_to_once_however_often_it_is_announced(
    mailauth: CommandLine, crowd: Callable[[int], None]
) -> None:
    crowd(3)
    assert mailauth.json("campaign", "announce", "--account", "user0001")["queued"] == 1
    second = mailauth.json("campaign", "announce")
    assert (second["queued"], second["told_before"], second["waiting"], second["unreachable"]) == (2, 0, 1, [])
    mailauth.run("account", "add", "late", stdin="pw")
    third = mailauth.json("campaign", "announce")
    assert (third["queued"], third["waiting"]) == (1, 3)
    assert set(recipients(mailauth).values()) == {1}
    assert len(recipients(mailauth)) == 4


def test_account_that_was_sent_the_announcement_is_not_sent_it_again(mailauth: CommandLine) -> None:
    """What is delivered is wiped, and remembered all the same."""
    mailauth.run("account", "add", "alice", stdin="pw")
    mailauth.run("campaign", "announce")
    with closing(installation(mailauth)) as ours, writing(ours.database) as connection:
        connection.execute(update(outbox).values(state="accepted", content=None, ended_at=NOW))
    again = mailauth.json("campaign", "announce")
    assert (again["queued"], again["told_before"], again["waiting"]) == (0, 1, 0)


def test_account_whose_announcement_was_given_up_counts_as_not_told_and_is_written_to_again(
    mailauth: CommandLine, crowd: Callable[[int], None]
) -> None:
    """MAIL10: told means that a server has taken the mail."""
    crowd(3)
    mailauth.run("campaign", "announce")
    with closing(installation(mailauth)) as ours, writing(ours.database) as connection:
        is_second = outbox.c.recipient == "user0001@mailitwize.be"
        connection.execute(update(outbox).where(is_second).values(state="given-up", ended_at=NOW))
    again = mailauth.json("campaign", "announce")
    assert (again["queued"], again["told_before"], again["waiting"]) == (1, 0, 2)
    assert recipients(mailauth)["user0001@mailitwize.be"] == 2
    assert mailauth.json("campaign", "announce")["queued"] == 0
    assert mailauth.run("outbox", "retry", "--given-up").stdout == "0 mails due now\n", "nobody gets two"


def test_name_that_is_no_address_keeps_nobody_else_from_being_told(mailauth: CommandLine, tmp_path: Path) -> None:
    """Nor an account whose domain somebody wrote into the database as people write it."""
    names = ["a@mailitwize.be", "b@b\u00fccher.example", "c c@mailitwize.be", "d@\u0301.example", "e@mailitwize.be"]
    rows = [{"name": name, "epoch": 0, "created_at": NOW} for name in names]
    with closing(installation(mailauth)) as ours, writing(ours.database) as connection:
        connection.execute(insert(account), rows)
    for words in (("--dry-run", str(tmp_path / "mails")), ()):
        result = mailauth.json("campaign", "announce", *words)
        assert result["written" if words else "queued"] == 3
        assert result["unreachable"] == [names[2], names[3]]
    assert set(recipients(mailauth)) == {names[0], "b@xn--bcher-kva.example", names[4]}


def test_run_gives_way_after_each_batch(
    mailauth: CommandLine, crowd: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MAIL11: a hundred in a transaction, and the database left alone between them."""
    crowd(250)
    jobs: list[object] = []
    write = GivingWay.write

    def noted(self: GivingWay, job: Callable[[Connection], Any], **how: bool) -> Any:
        jobs.append(job)
        return write(self, job, **how)

    monkeypatch.setattr(GivingWay, "write", noted)
    with closing(installation(mailauth)) as ours:
        campaign = mailing.of(ours).campaign
        assert campaign.announce().queued == 250
        assert campaign.announce().queued == 0
    assert len(jobs) == 3


def test_announcement_that_was_killed_half_way_is_finished_by_the_next(
    mailauth: CommandLine, crowd: Callable[[int], None]
) -> None:
    total = 1000
    crowd(total)
    words = [sys.executable, "-m", "mailauth", "--config", str(mailauth.config), "campaign", "announce"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (queued := len(recipients(mailauth))):
            assert time.monotonic() < deadline
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    queued = len(recipients(mailauth))
    assert 0 < queued < total
    assert queued % 100 == 0  # whole transactions
    result = mailauth.json("campaign", "announce")
    assert (result["queued"], result["waiting"]) == (total - queued, queued)
    assert recipients(mailauth) == Counter(f"user{n:04}@mailitwize.be" for n in range(total))


def test_dry_run_writes_mails_that_one_can_open_and_queues_none(
    mailauth: CommandLine, crowd: Callable[[int], None], tmp_path: Path
) -> None:
    crowd(2)
    folder = tmp_path / "not" / "there"
    result = mailauth.json("campaign", "announce", "--dry-run", str(folder))
    assert (result["written"], result["told_before"]) == (2, 0)
    assert sorted(path.name for path in folder.iterdir()) == [
        "user0000@mailitwize.be.eml",
        "user0001@mailitwize.be.eml",
    ]
    assert read(folder / "user0001@mailitwize.be.eml")["To"] == "user0001@mailitwize.be"
    assert recipients(mailauth) == {}


def test_dry_run_writes_what_would_be_sent_now(mailauth: CommandLine, crowd: Callable[[int], None]) -> None:
    crowd(2)
    mailauth.run("campaign", "announce", "--account", "user0000")
    folder = mailauth.config.parent / "mails"
    mailauth.run("campaign", "announce", "--dry-run", str(folder))
    assert [path.name for path in folder.iterdir()] == ["user0001@mailitwize.be.eml"]


def test_folder_that_cannot_be_written_to_is_an_error_without_a_traceback(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    refused = mailauth.run("campaign", "announce", "--dry-run", "/proc/mails", code=1)
    assert refused.stderr.startswith("mailauth: cannot write")


def test_second_dry_run_replaces_the_mails_of_the_first(mailauth: CommandLine, tmp_path: Path) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    for language in ("nl", "fr"):
        set_language(mailauth, "alice@mailitwize.be", language)
        mailauth.run("campaign", "announce", "--dry-run", str(tmp_path / "mails"))
        assert read(tmp_path / "mails" / "alice@mailitwize.be.eml")["Content-Language"] == language


def test_dry_run_follows_no_link(mailauth: CommandLine, tmp_path: Path) -> None:
    """Root names a folder under /tmp, and anybody may have been there before."""
    mailauth.run("account", "add", "alice", stdin="pw")
    victim, folder, link = tmp_path / "victim", tmp_path / "mails", tmp_path / "link"
    victim.write_text("precious")
    folder.mkdir(mode=0o700)
    mail = folder / "alice@mailitwize.be.eml"
    mail.symlink_to(victim)
    mailauth.run("campaign", "announce", "--dry-run", str(folder))
    assert victim.read_text() == "precious"
    assert read(mail)["To"] == "alice@mailitwize.be"
    mail.unlink()
    link.symlink_to(folder)
    refused = mailauth.run("campaign", "announce", "--dry-run", str(link), code=1)
    assert refused.stderr.startswith(f"mailauth: cannot write into {link}: ")
    assert list(folder.iterdir()) == []


def test_dry_run_writes_into_nobody_elses_folder(
    mailauth: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    folder = tmp_path / "mails"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    refused = mailauth.run("campaign", "announce", "--dry-run", str(folder), code=1)
    assert "it belongs to somebody else" in refused.stderr
    assert list(folder.iterdir()) == []


def test_dry_run_is_for_the_eyes_of_who_runs_it(mailauth: CommandLine, tmp_path: Path) -> None:
    """MAIL12: the names of its files are a list of who has no second factor."""
    mailauth.run("account", "add", "alice", stdin="pw")
    folder = tmp_path / "new" / "mails"
    before = os.umask(0)
    try:
        mailauth.run("campaign", "announce", "--dry-run", str(folder))
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
    folder.chmod(0o755)
    refused = mailauth.run("campaign", "announce", "--dry-run", str(folder), code=1)
    assert f"run: chmod 0700 {folder}" in refused.stderr


def test_dry_run_writes_a_file_for_any_name(mailauth: CommandLine, tmp_path: Path) -> None:
    """MAIL12: of 252 to 254 bytes, too; each its own."""
    tail = "@mailitwize.be"
    long_ones = [letter * (size - len(tail)) + tail for size in (250, 251, 252, 253, 254) for letter in "ab"]
    odd_ones = ["é" * 120 + tail, "a" + "é" * 119 + "z" + tail, "-x" + tail, "{|}~" + tail, "o'neill&co" + tail]
    names = [*long_ones, *odd_ones]
    rows = [{"name": name, "epoch": 0, "created_at": NOW} for name in names]
    with closing(installation(mailauth)) as ours, writing(ours.database) as connection:
        connection.execute(insert(account), rows)
    folder = tmp_path / "mails"
    assert mailauth.json("campaign", "announce", "--dry-run", str(folder))["written"] == len(names)
    lines = [path.read_bytes().decode().split("\r\n") for path in folder.iterdir()]
    assert {each for mail in lines for each in mail if each.startswith("To: ")} == {f"To: {name}" for name in names}
    assert all(path.name.endswith(".eml") for path in folder.iterdir())
    assert (folder / f"{long_ones[0]}.eml").exists(), "by its name, where that fits"


def test_account_that_does_not_exist_is_refused_and_nobody_is_written_to(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    refused = mailauth.run("campaign", "announce", "--account", "alice", "--account", "nobody", code=1)
    assert "there is no account nobody@mailitwize.be" in refused.stderr
    assert recipients(mailauth) == {}


@pytest.mark.parametrize(
    ("language", "date"), [("en", "5 May 2025"), ("nl", "5 mei 2025"), ("fr", "5 mai 2025"), ("de", "5. Mai 2025")]
)
def test_announcement_says_what_why_how_and_where_to_get_help_in_the_accounts_language(
    mailauth: CommandLine, language: str, date: str
) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    set_language(mailauth, "alice@mailitwize.be", language)
    folder = mailauth.config.parent / "mails"
    mailauth.run("campaign", "announce", "--dry-run", str(folder))
    mail = read(folder / "alice@mailitwize.be.eml")
    assert mail["Content-Language"] == language
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    for alternative in (text, html):
        assert date in alternative
        assert "Google Authenticator" in alternative
        assert "Microsoft Authenticator" in alternative
        assert all(store in alternative for store in STORES)
        assert "https://2fa.mailitwize.be/setup" in alternative
        assert "support@mailitwize.be" in alternative
    assert f'lang="{language}"' in html
    assert [line[:2] for line in text.splitlines() if line[:1].isdigit()] == ["1.", "2.", "3.", "4.", "5."]


@pytest.mark.parametrize("words", [(), ("--dry-run", "{folder}")])
def test_run_says_how_many_mails_there_are_in_which_language(mailauth: CommandLine, words: tuple[str, ...]) -> None:
    for name, language in (("alice", "nl"), ("bob", "nl"), ("carol", "fr")):
        mailauth.run("account", "add", name, stdin="pw")
        set_language(mailauth, f"{name}@mailitwize.be", language)
    options = [word.format(folder=mailauth.config.parent / "mails") for word in words]
    assert mailauth.json("campaign", "announce", "--account", "carol", *options)["languages"] == {"fr": 1}
    said = mailauth.run("campaign", "announce", *options).stdout
    assert "2 in nl" in said
    assert ("mailauth serve worker" in said) is (not words)


def test_pictures_are_part_of_the_mail_and_each_has_words(mailauth: CommandLine) -> None:
    """No picture is fetched from anywhere: it would tell who reads what when."""
    mailauth.run("account", "add", "alice", stdin="pw")
    folder = mailauth.config.parent / "mails"
    mailauth.run("campaign", "announce", "--dry-run", str(folder))
    mail = read(folder / "alice@mailitwize.be.eml")
    pictures = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    html = mail.get_body(("html",)).get_content()
    assert 'src="http' not in html
    assert html.count("<img ") == len(pictures) <= len(STEPS)
    for picture in pictures:
        assert f'src="cid:{picture["Content-ID"].strip("<>")}" alt="' in html
        assert picture.get_content().startswith(b"\x89PNG\r\n")
    assert 'alt=""' not in html
