"""Control characters in what Dovecot hands on: by checkpassword, by Lua and by PAM."""

from __future__ import annotations

from tests.stack import control_characters
from tests.stack.people import Site
from tests.stack.ways import on_each_dovecot


@on_each_dovecot
def test_control_characters_in_a_request_forge_nothing(site: Site) -> None:
    control_characters.check(site, hands_on_the_session=site.way.dovecot != "pam")
