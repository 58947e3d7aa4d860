"""Fields for Dovecot leave by a socket that may have them, and by no other one."""

from pathlib import Path

from tests.integration.server.conftest import SiteMaker
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
