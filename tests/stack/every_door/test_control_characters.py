"""Control characters in what Dovecot hands on, by PAM, and by Lua of the other Dovecot."""

from __future__ import annotations

import pytest

from tests.stack import control_characters
from tests.stack.every_door.playing import Played
from tests.stack.every_door.ways import ways


@pytest.mark.parametrize("played", ways(), indirect=True, ids=str)
def test_control_characters_in_a_request_forge_nothing(played: Played) -> None:
    control_characters.check(played.site, hands_on_the_session=played.site.set_up.dovecot != "pam")
