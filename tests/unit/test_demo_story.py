"""What the demo waits for: a message that has arrived, and not one that is still being written."""

from pathlib import Path

import pytest

from deploy.demo_lib import story


def test_message_that_is_still_being_written_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "ARRIVAL_TIMEOUT_S", 0.1)
    draft = tmp_path / ".000001.eml"
    draft.write_text("Subject: It works\n")
    assert story.arrived(tmp_path, "It works") is None
    draft.rename(tmp_path / "000001.eml")
    assert story.arrived(tmp_path, "It works") == "Subject: It works\n"
