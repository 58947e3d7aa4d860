"""The help page shows the pictures that the announcement shows: one folder, each language its own, else English."""

from pathlib import Path

from mailauth.edges.portal import assets
from mailauth.effects.mails.writing import PICTURES, STEPS


def test_picture_is_that_of_the_language_else_the_english_one_else_none(tmp_path: Path) -> None:
    for name in ("en/login.png", "en/scan.png", "nl/login.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    files = assets.load("#123456", None, tmp_path)
    assert files["pictures/nl/login.png"] == (b"nl/login.png", "image/png")
    assert assets.picture(files, "nl", "login") == "pictures/nl/login.png"
    assert assets.picture(files, "nl", "scan") == "pictures/en/scan.png"
    assert assets.picture(files, "nl", "done") is None


def test_pictures_of_the_package_are_served_by_the_names_of_the_steps() -> None:
    files = assets.load("#123456", None)
    served = {name for name in files if name.startswith("pictures/")}
    assert served == {f"pictures/{path.relative_to(PICTURES)}" for path in PICTURES.rglob("*.png")}
    assert {Path(name).stem for name in served} <= set(STEPS)
    assert "portal.css" in files
