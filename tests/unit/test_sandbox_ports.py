"""A sandbox whose port somebody else took meanwhile chooses others, also where the server's log does not say so."""

import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deploy.sandbox_lib import state, up


@pytest.mark.parametrize("is_taken", [True, False])
def test_port_that_somebody_else_has_is_noticed_without_a_word_in_any_log(
    monkeypatch: pytest.MonkeyPatch, is_taken: bool
) -> None:
    monkeypatch.setattr(state, "log_files", lambda _ground: {})
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        if not is_taken:
            other.close()
        assert up.port_taken(cast(Any, SimpleNamespace()), {"postfix_submission": port}) is is_taken
