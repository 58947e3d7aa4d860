"""Fields for Dovecot leave by a socket that may have them, and by no other one."""

from datetime import UTC, datetime
from pathlib import Path

from tests.integration.server.conftest import SiteMaker
from tests.integration.serving import secret_of
from tests.integration.talking import look_up

ANNA, PASSWORD = "anna@hoster.example", "correct horse battery"
FIELDS = "userdb_quota_rule=*:storage=5M proxy=y host=192.0.2.1 pass=secret"
SOURCE = 'sources=[{{kind="passwd-file",file="{directory}/users",fields=["userdb_quota_rule","proxy","host","pass"]}}]'


def test_only_a_socket_that_may_is_told(make_site: SiteMaker, tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"{ANNA}:{{PLAIN}}{PASSWORD}::::::{FIELDS}\n")
    site = make_site("cutover.date=2099-01-01T00:00Z")
    for may, expected in (("true", True), ("false", False)):
        socket = site.directory / f"{may}.sock"
        config, _ = site.second_configuration(
            f'server.socket=[{{path="{socket}", lookups=true, fields={may}}}]', SOURCE.format(directory=tmp_path)
        )
        server = site.serve(config=config, socket=socket)
        with site.talk(server) as talk:
            answers = (talk.login(ANNA, PASSWORD).decode(), look_up(talk, ANNA, 2))
        for answer in answers:
            assert answer.startswith("OK\t"), answer
            assert ("userdb_quota_rule=*:storage=5M" in answer) is expected
            assert ("host=192.0.2.1" in answer) is expected
        assert ("pass=secret" in answers[0]) is expected
        assert "pass=" not in answers[1], "a look-up is no login"


def test_bare_password_is_handed_on_where_that_is_wanted_and_after_an_app_password_none_is(
    make_site: SiteMaker,
) -> None:
    site = make_site("login_memory.life_s=600")
    alice, bob = site.person(), site.person(enrolled=False)
    site.installation.accounts.exempt(bob.name, datetime(2099, 1, 1, tzinfo=UTC), "a test")
    phone = site.installation.app_passwords.make(alice.name, "phone").password
    codes = site.installation.recovery_codes.issue(alice.name)[1]
    fresh = secret_of(alice)
    for may, expected in (("true", True), ("false", False)):
        socket = site.directory / f"{may}.sock"
        config, _ = site.second_configuration(
            f'server.socket=[{{path="{socket}", fields=true, forward_password={may}}}]'
        )
        server = site.serve(config=config, socket=socket)
        with site.talk(server) as talk:
            for number, (name, secret, password) in enumerate(
                (
                    (alice.name, fresh, alice.password),
                    (alice.name, fresh, alice.password),  # remembered
                    (alice.name, alice.password + codes[int(expected)], alice.password),
                    (bob.name, bob.password, bob.password),
                    (alice.name, phone, None),
                ),
                1,
            ):
                answer = talk.login(name, secret, number=number).decode()
                assert answer.startswith("OK\t"), answer
                handed_on = f"userdb_plain_pass={password}" in answer
                assert handed_on is (expected and password is not None), answer
                assert "plain_pass" in answer or not handed_on
