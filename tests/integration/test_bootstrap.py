"""deploy/bootstrap: where it installs, and where it must not."""

import shutil
import subprocess
from pathlib import Path

BOOTSTRAP = Path(__file__).parents[2] / "deploy" / "bootstrap"


def test_link_to_an_environment_outside_the_checkout_is_refused(tmp_path: Path) -> None:
    """pip would put this checkout into the environment that another one runs from."""
    other = tmp_path / "other" / ".venv"
    other.mkdir(parents=True)
    checkout = tmp_path / "checkout"
    (checkout / "deploy").mkdir(parents=True)
    script = shutil.copy(BOOTSTRAP, checkout / "deploy" / "bootstrap")
    (checkout / ".venv").symlink_to(other)
    done = subprocess.run([script, "run"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"{checkout}/.venv is a link to {other}, outside this checkout" in done.stderr
    assert list(other.iterdir()) == []
    assert not (checkout / "build").exists()
