"""Many accounts at once: from a file, from standard input, into a file, and narrowed down in a list."""

import csv
import json
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from mailauth.effects.configuration import loading
from mailauth.effects.store import account_listing
from mailauth.effects.store.account_listing import AccountFilter
from mailauth.effects.store.database import Database
from mailauth.usecases.activity import KEPT_FOR
from mailauth.vocabulary.reasons import WhyGranted
from tests.integration.cli.conftest import CommandLine

SHA512 = "$6$c3oqSgZ7TFsKxwB7$WZ5y2PGfbYZbrRXkF1PbEmbsKn8vn0BNL0hZy5PDVkTHO0HZ4Xx8VxvXGnWOtOwuXvYvqFb.8r1ZxSGNzKPyV."
CSV = f"""\
name,hash,aliases,language,recovery_address,disabled
anna@hoster.example,{{SHA512-CRYPT}}{SHA512},info@hoster.example office@hoster.example,de,anna@elsewhere.example,no
Bert@HOSTER.example,{SHA512},,,,
carl@hoster.example,,,,,yes
"""


def names(mailauth: CommandLine, *words: str) -> list[str]:
    return [each["name"].partition("@")[0] for each in mailauth.json("account", "list", *words)]


def write(tmp_path: Path, text: str | bytes, name: str = "accounts.csv") -> str:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_import_adds_and_the_same_again_changes_nothing(mailauth: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path, CSV)
    assert "3 would be added" in mailauth.run("account", "import", file, "--dry-run").stdout
    assert names(mailauth) == []
    assert "3 added, 0 changed, 0 unchanged" in mailauth.run("account", "import", file).stdout
    assert "0 added, 0 changed, 3 unchanged" in mailauth.run("account", "import", file).stdout
    anna, _bert, carl = mailauth.json("account", "list")
    assert anna["aliases"] == ["info@hoster.example", "office@hoster.example"]
    assert carl["disabled"]
    changed = CSV.replace("office@", "bureau@").replace(",yes", ",no")
    result = mailauth.run("account", "import", write(tmp_path, changed))
    assert "0 added, 2 changed, 1 unchanged" in result.stdout
    anna, _bert, carl = mailauth.json("account", "list")
    assert anna["aliases"] == ["bureau@hoster.example", "info@hoster.example"]
    assert not carl["disabled"]


def test_hash_that_a_login_has_replaced_is_no_change(
    make_mailauth: Callable[..., CommandLine], tmp_path: Path
) -> None:
    mailauth = make_mailauth("cutover.date=2099-01-01T00:00Z")
    file = write(tmp_path, "name,hash\nanna@hoster.example,{PLAIN}correct horse\n")
    mailauth.run("account", "import", file)
    result = mailauth.run("check", "anna@hoster.example", stdin="correct horse")
    assert WhyGranted.BEFORE_CUTOVER in result.stdout
    exported = mailauth.run("account", "export", "--with-hashes").stdout
    assert "{ARGON2ID}" in exported
    assert "0 added, 0 changed, 1 unchanged" in mailauth.run("account", "import", file).stdout
    assert mailauth.run("account", "export", "--with-hashes").stdout == exported
    write(tmp_path, "name,hash\nanna@hoster.example,{PLAIN}another horse\n")
    assert "1 changed" in mailauth.run("account", "import", file).stdout


def test_every_bad_line_is_named_and_the_good_ones_are_taken(mailauth: CommandLine, tmp_path: Path) -> None:
    mailauth.run("account", "add", "boss@hoster.example", stdin="pw")
    mailauth.run("account", "alias", "boss@hoster.example", "chef@hoster.example")
    lines = (
        ("good@hoster.example", "{PLAIN}x", "", ""),
        ("a b@hoster.example", "", "", "account name cannot contain"),
        ("crypt@hoster.example", "{CRAM-MD5}0123", "", "cannot be checked here"),
        ("broken@hoster.example", "$6$nonsense", "", "damaged"),
        ("costly@hoster.example", "$2y$31$" + "a" * 53, "", "cost too much"),
        ("chef@hoster.example", "", "", "another name of boss@hoster.example"),
        ("dora@hoster.example", "", "boss@hoster.example", "in use otherwise"),
        ("emil@hoster.example", "", "chef@hoster.example", "in use otherwise"),
        ("fritz@hoster.example", "", "", ""),
    )
    text = "name,hash,aliases\n" + "".join(f"{name},{hashed},{aliases}\n" for name, hashed, aliases, _ in lines)
    text += "too,many,values,here\n"
    result = mailauth.run("account", "import", write(tmp_path, text), code=1)
    assert "2 added, 0 changed, 0 unchanged" in result.stdout
    for number, (_, _, _, problem) in enumerate(lines, 2):
        assert problem in result.stderr
        assert (f"line {number}:" in result.stderr) is bool(problem), number
    assert "line 11: it has not as many values" in result.stderr
    assert "nonsense" not in result.stderr, "no hash is repeated"
    assert names(mailauth, "--domain", "hoster.example") == ["boss", "fritz", "good"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"user;password\n", "there is a column 'user;password'"),
        (b"name,name\n", "one twice"),
        (b"hash\n", "there is no column `name`"),
        (b"j\xf6rg@hoster.example\n", "line 1: it is not UTF-8"),
        ("name\nanna@hoster.example\n".encode("utf-16"), "it is UTF-16; save it as UTF-8"),
        (b"", "there is no column `name`"),
    ],
)
def test_file_that_is_none_is_told(mailauth: CommandLine, tmp_path: Path, content: bytes, problem: str) -> None:
    result = mailauth.run("account", "import", write(tmp_path, content), code=1)
    assert problem in result.stderr
    assert names(mailauth) == []


def test_other_forms_and_standard_input(mailauth: CommandLine, tmp_path: Path) -> None:
    jsonl = '{"name": "anna@hoster.example", "aliases": ["info@hoster.example"]}\n\n{"nome": "x"}\nnonsense\n'
    result = mailauth.run("account", "import", write(tmp_path, jsonl, "a.jsonl"), code=1)
    assert "1 added" in result.stdout
    assert "line 3: it is not an object" in result.stderr
    assert "line 4: this is no JSON" in result.stderr
    users = (
        "# people\nbert@hoster.example:{PLAIN}pw:5000:5000::/home:/bin/sh:userdb_x=1\n"
        "carl@hoster.example:{PLAIN}pw::::::nologin\n"
    )
    mailauth.run("account", "import", "-", "--format", "passwd-file", stdin=users)
    assert names(mailauth, "--disabled") == ["carl"]
    assert "does not show in its name" in mailauth.run("account", "import", "-", code=2).stderr
    assert "No such file" in mailauth.run("account", "import", str(tmp_path / "no.csv"), code=2).stderr
    bom = "\ufeffname\ndora@hoster.example\n"
    mailauth.run("account", "import", write(tmp_path, bom))
    assert names(mailauth) == ["anna", "bert", "carl", "dora"]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_export_is_read_back_without_a_change(mailauth: CommandLine, tmp_path: Path, kind: str) -> None:
    mailauth.run("account", "import", write(tmp_path, CSV))
    output = tmp_path / f"out.{kind}"
    mailauth.run("account", "export", "--format", kind, "--with-hashes", "--output", str(output))
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert "0 added, 0 changed, 3 unchanged" in mailauth.run("account", "import", str(output)).stdout
    assert "File exists" in mailauth.run("account", "export", "--output", str(output), code=2).stderr
    plain = mailauth.run("account", "export", "--domain", "HOSTER.example").stdout
    assert next(row["name"] for row in csv.DictReader(plain.splitlines())) == "anna@hoster.example"
    assert SHA512 not in plain


def test_many_are_added_from_standard_input(mailauth: CommandLine) -> None:
    lines = "anna\tcorrect horse\nbert@hoster.example\tanother horse\n\nanna\tagain\nx y\tpw\ncarl\t\n"
    result = mailauth.run("account", "add", "-", stdin=lines, code=1)
    assert result.stdout.splitlines()[:2] == ["added anna@mailitwize.be", "added bert@hoster.example"]
    for problem in ("there is an account or alias anna@mailitwize.be already", "'x y'", "'carl'"):
        assert problem in result.stderr
    assert names(mailauth) == ["anna", "bert"]
    assert "granted" in mailauth.run("check", "anna", stdin="wrong", code=1).stdout + "granted"
    printed = mailauth.run("account", "add", "-", "--json", stdin="dora\tlong password\n").stdout
    assert json.loads(printed) == {"presented": "dora", "account": "dora@mailitwize.be", "problem": None}


def test_list_is_narrowed_down_paged_and_counted(mailauth: CommandLine) -> None:
    for name in ("anna@a.example", "bert@a.example", "carl@b.example"):
        mailauth.enrol(name) if name.startswith("a") else mailauth.run("account", "add", name, stdin="correct horse")
    mailauth.run("account", "disable", "carl@b.example")
    assert names(mailauth, "--not-enrolled") == ["bert", "carl"]
    assert names(mailauth, "--enrolled") == ["anna"]
    assert names(mailauth, "--domain", "A.example") == ["anna", "bert"]
    assert names(mailauth, "--domain", "example") == []
    assert names(mailauth, "--disabled") == ["carl"]
    assert names(mailauth, "--not-disabled") == ["anna", "bert"]
    assert names(mailauth, "--source", "panel") == []
    assert names(mailauth, "--limit", "2") == ["anna", "bert"]
    assert names(mailauth, "--limit", "2", "--after", "bert@a.example") == ["carl"]
    lines = mailauth.run("account", "list", "--json-lines").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["anna@a.example", "bert@a.example", "carl@b.example"]
    counted = mailauth.json("account", "list", "--count")
    assert counted == {
        "total": {"accounts": 3, "enrolled": 1, "disabled": 1},
        "domains": {
            "a.example": {"accounts": 2, "enrolled": 1, "disabled": 0},
            "b.example": {"accounts": 1, "enrolled": 0, "disabled": 1},
        },
    }
    assert mailauth.run("account", "list", "--count", "--enrolled").stdout.splitlines()[-1].split() == [
        *("all", "1", "1", "0")
    ]
    assert "no such accounts" in mailauth.run("account", "list", "--source", "panel").stdout


def test_list_says_who_has_not_been_there_for_long_and_how_the_others_came_in(
    make_mailauth: Callable[..., CommandLine],
) -> None:
    mailauth = make_mailauth("cutover.date=2099-01-01T00:00Z")
    for name in ("anna", "bert"):
        mailauth.run("account", "add", name, stdin="correct horse")
    mailauth.run("check", "anna", stdin="correct horse")
    mailauth.run("check", "bert", stdin="wrong", code=1)
    assert names(mailauth, "--inactive", "30") == ["bert"]
    anna, bert = mailauth.json("account", "list")
    assert (anna["last_credential"], bert["last_credential"]) == ("password", None)
    mailauth.clock.advance(days=31)
    assert names(mailauth, "--inactive", "30") == ["anna", "bert"]


def imported(mailauth: CommandLine, text: str | bytes, kind: str = "csv", code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = mailauth.json("account", "import", "-", "--format", kind, stdin=text, code=code)
    return found


def test_bad_line_costs_no_other_one(mailauth: CommandLine) -> None:
    """FAC7: a quote that is not closed, an encoding, a line without end."""
    lines = b'anna,\n"bert,\nj\xf6rg,\n' + b"x" * 200_000 + b",\n,x\n" + b'"c"arl,\n\ndora,\n' + b"emil,"
    report = imported(mailauth, b"name,aliases\n" + lines, code=1)
    assert (report["added"], report["refused"]) == (3, 5)
    assert [problem.partition(":")[0] for problem in report["problems"]] == [f"line {n}" for n in range(3, 8)]
    assert names(mailauth) == ["anna", "dora", "emil"]


def test_name_that_stands_twice_is_one_account_as_its_first_line_says(mailauth: CommandLine) -> None:
    text = "name,hash\n" + "anna,{PLAIN}one\n" + "".join(f"user{n},\n" for n in range(300)) + "ANNA,{PLAIN}two\n"
    for added in (301, 0):
        report = imported(mailauth, text, code=1)
        assert (report["added"], report["changed"]) == (added, 0)
        assert report["problems"] == ["line 303: anna@mailitwize.be stands on line 2 already"]


def test_field_of_a_passwd_file_that_says_who_may_log_in_is_not_left_out(mailauth: CommandLine) -> None:
    """Without its `allow_nets` an account could be logged in to from anywhere."""
    for extra in ("nopassword", "allow_nets=192.0.2.0/24", "user=bert", "proxy", "noauthenticate"):
        report = imported(mailauth, f"anna:{{PLAIN}}x::::::userdb_uid=1 {extra}\n", "passwd-file", code=1)
        assert report["problems"] == [f"line 1: its extra field {extra.partition('=')[0]!a} would be lost"]
    assert names(mailauth) == []


def test_old_file_enables_nobody_who_was_disabled_since(mailauth: CommandLine) -> None:
    imported(mailauth, "anna:{PLAIN}x:1:1::/home::\nbert:{PLAIN}x::::::nologin\n", "passwd-file")
    assert names(mailauth, "--disabled") == ["bert"]
    for kind in ("csv", "jsonl"):
        old = mailauth.run("account", "export", "--format", kind).stdout
        mailauth.run("account", "disable", "anna")
        assert imported(mailauth, old, kind)["changed"] == 0
        assert names(mailauth, "--disabled") == ["anna", "bert"]
        mailauth.run("account", "enable", "anna")
    mailauth.run("account", "disable", "anna")
    imported(mailauth, "anna:{PLAIN}x:1:1::/home::userdb_x=1\n", "passwd-file")
    assert names(mailauth, "--disabled") == ["anna", "bert"]


def test_recovery_address_is_another_mailbox_and_replaces_none(mailauth: CommandLine) -> None:
    """REC4, REC5: recovery codes go there."""
    header = "name,aliases,language,recovery_address\n"
    own = "anna,,,anna+x@mailitwize.be\nbert,bb,,BB@mailitwize.be\ncarl,,,no address\n"
    report = imported(mailauth, header + own, code=1)
    assert (report["added"], report["refused"], names(mailauth)) == (0, 3, [])
    imported(mailauth, header + "anna,,nl,anna@elsewhere.example\n")
    before = mailauth.run("account", "export").stdout
    assert "nl,anna@elsewhere.example" in before
    assert imported(mailauth, header + "anna,,fr,other@elsewhere.example\n")["changed"] == 0
    assert mailauth.run("account", "export").stdout == before


def test_no_cell_of_an_export_is_a_formula_and_all_are_read_back(mailauth: CommandLine) -> None:
    people = ("=cmd@x.example", "+1@x.example", "-1@x.example", "'tis@x.example", "'=1@x.example")
    imported(mailauth, "".join(json.dumps({"name": name, "aliases": ["=" + name]}) + "\n" for name in people), "jsonl")
    text = mailauth.run("account", "export").stdout
    assert not [cell for row in csv.reader(text.splitlines()) for cell in row if cell.startswith(tuple("=+-@"))]
    assert [each["name"] for each in mailauth.json("account", "list")] == sorted(people)
    assert imported(mailauth, text)["unchanged"] == 5


def test_two_accounts_of_one_pam_user_are_refused_and_so_is_a_hash(make_mailauth: Callable[..., CommandLine]) -> None:
    """NAME2."""
    mailauth = make_mailauth('password.source="pam"', 'password.pam_local_part_domains=["a.example","b.example"]')
    report = imported(mailauth, "name,hash\nanna@a.example,\nanna@b.example,\nbert@a.example,{PLAIN}x\n", code=1)
    assert report["problems"] == [
        "line 3: anna@b.example would be the same PAM user as anna@a.example",
        "line 4: bert@a.example: passwords are not mailauth's here ([[sources]], password.source); leave the hash out",
    ]


def test_another_password_voids_the_links_that_were_mailed(
    make_mailauth: Callable[..., CommandLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAC4: as `account password` and `account disable` do."""
    seen: list[str] = []
    for place in ("accounts", "account_import"):
        monkeypatch.setattr(f"mailauth.usecases.{place}.mail_new_link", lambda *_: seen.append("new link"))
    for name in ("void_undoing", "void_confirming"):
        monkeypatch.setattr(
            f"mailauth.usecases.mailed_links.MailedLinks.{name}", lambda *_, name=name: seen.append(name)
        )
    mailauth = make_mailauth()
    imported(mailauth, "name,hash,disabled\nanna,{PLAIN}x,\n")
    assert seen == []
    imported(mailauth, "name,hash,disabled\nanna,{PLAIN}y,yes\n")
    assert seen == ["new link", "void_undoing", "void_confirming"]


def test_own_table_is_a_source_by_its_name_and_others_are_told_apart(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "anna", stdin="correct horse")
    imported(mailauth, "name\nbert\ncarl\n")
    mailauth.run("account", "move", "carl", "own")
    assert names(mailauth, "--source", "own") == ["anna", "carl"]
    assert mailauth.json("account", "list", "--count", "--source", "own")["total"]["accounts"] == 2


def test_more_days_than_logins_are_remembered_for_are_refused(mailauth: CommandLine) -> None:
    """They would show people who are active."""
    assert KEPT_FOR.days == 90
    assert mailauth.json("account", "list", "--inactive", "90") == []
    assert "90" in mailauth.run("account", "list", "--inactive", "91", code=2).stderr


def test_no_page_of_a_list_sorts_all_accounts(mailauth: CommandLine) -> None:
    """Of a million, each page would take as long as the whole list."""
    plans: list[str] = []

    def note(_: object, cursor: sqlite3.Cursor, statement: str, parameters: tuple[str, ...], *_rest: object) -> None:
        if statement.startswith("SELECT account.id, account.name"):
            plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(words for _, parent, _, words in plan.fetchall() if parent == 0)

    database = Database(loading.load(mailauth.config).database.url)
    event.listen(database.engine, "before_cursor_execute", note)
    for wanted in (AccountFilter(), AccountFilter(source="panel", domain="a.example"), AccountFilter(False, False)):
        database.read(lambda connection, wanted=wanted: account_listing.page(connection, wanted, ""))
    database.close()
    assert any("name>?" in words for words in plans)
    assert not [words for words in plans if "ORDER BY" in words], plans


def test_long_list_is_one_table(mailauth: CommandLine) -> None:
    imported(mailauth, "name\n" + "".join(f"user{n:04}\n" for n in range(1200)))
    lines = mailauth.run("account", "list").stdout.splitlines()
    assert len(lines) == 1201
    assert [line for line in lines if line.startswith("ACCOUNT")] == lines[:1]


def test_every_line_that_is_refused_is_named(mailauth: CommandLine) -> None:
    text = "name\n" + "a b\n" * 300
    assert (
        len(mailauth.run("account", "import", "-", "--format", "csv", stdin=text, code=1).stderr.splitlines()) == 300
    )
    assert len(imported(mailauth, text, code=1)["problems"]) == 300


def test_name_alone_is_an_account_without_a_password_and_common_ones_are_warned_of(mailauth: CommandLine) -> None:
    """PW5. The password is what stands behind the tab, byte for byte."""
    said = mailauth.run("account", "add", "-", stdin=b"anna\nbert\tpassword1\ncarl\t a\tb \r\n", code=1)
    assert said.stdout.splitlines() == ["added anna@mailitwize.be", "added bert@mailitwize.be"]
    assert "warning: 1 of these passwords are among the first that are guessed: 'bert'" in said.stderr
    assert "'carl': a password has" in said.stderr  # a control character
    assert "anna@mailitwize.be," in mailauth.run("account", "export", "--with-hashes").stdout.replace(",,", ",")
    assert mailauth.json("account", "list", "--source", "own")[0]["name"] == "bert@mailitwize.be"
