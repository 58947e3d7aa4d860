"""PAM2: `config check` finds what of PAM's service can let nobody in, before its users do."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from mailauth.effects.configuration import loading, pam_service
from mailauth.effects.configuration.schema import Configuration
from mailauth.vocabulary.errors import Mistake
from tests.world import configuration_text

COMMON = """\
# here are the per-package modules (the "Primary" block)
auth\t[success=1 default=ignore]\tpam_unix.so nullok
auth\trequisite\t\t\tpam_deny.so
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    (etc / "pam.d").mkdir(parents=True)
    (etc / "pam.d" / "common-auth").write_text(COMMON)
    (etc / "shadow").touch()
    return etc


def configuration(domains: str = '"mailitwize.be"', source: str = "pam") -> Configuration:
    settings = (f"password.source={source}", f"password.pam_local_part_domains=[{domains}]")
    return loading.parse(configuration_text(Path("/nowhere"), *settings), "test")


def service(etc: Path, text: str) -> None:
    (etc / "pam.d" / "mailauth-password").write_text(text)


def places(found: Iterator[Mistake]) -> list[str]:
    return [mistake.place for mistake in found]


def test_pam_unix_without_the_right_to_read_shadow_is_named_however_it_is_included(etc: Path) -> None:
    texts = (
        "@include common-auth\n",
        "auth include common-auth\naccount required pam_permit.so\n",
        "auth    substack    common-auth  # as elsewhere\n",
        "-auth sufficient /lib/x86_64-linux-gnu/security/pam_unix.so\n",
        "auth [success=done \\\n  default=die] pam_unix.so\n",
    )
    with patch.object(os, "access", return_value=False):
        for text in texts:
            service(etc, text)
            [found] = pam_service.warnings_at_start(configuration(), etc)
            assert found.place == "password.source", text
            assert "mailauth-shadow.conf" in found.problem
            assert list(pam_service.warnings_at_start(configuration(source="own"), etc)) == []
    with patch.object(os, "access", return_value=True):
        assert list(pam_service.warnings_at_start(configuration(), etc)) == []


def test_other_modules_are_no_matter(etc: Path) -> None:
    texts = (
        "auth required pam_ldap.so\n",
        "auth required pam_sss.so\naccount required pam_unix.so\n",
        "#auth required pam_unix.so\nauth required pam_permit.so\n",
        "@include missing\n@include mailauth-password\n",
    )
    with patch.object(os, "access", return_value=False):
        for text in texts:
            service(etc, text)
            assert list(pam_service.warnings_at_start(configuration(""), etc)) == [], text


def test_pam_unix_without_a_domain_of_unix_users_is_named(etc: Path) -> None:
    """NAME2."""
    service(etc, "@include common-auth\n")
    with patch.object(os, "access", return_value=True):
        assert places(pam_service.warnings_at_start(configuration(""), etc)) == ["password.pam_local_part_domains"]


def test_service_that_is_missing_or_asks_us_is_a_mistake(etc: Path) -> None:
    assert places(pam_service.mistakes(configuration(), etc)) == ["password.pam_service"]
    service(etc, "auth required pam_mailauth.so\n")
    assert "very server that asks it" in next(pam_service.mistakes(configuration(), etc)).problem
    service(etc, "auth required pam_sss.so\n")
    assert list(pam_service.mistakes(configuration(), etc)) == []


def test_config_check_sees_what_the_units_of_systemd_are_given(etc: Path, tmp_path: Path) -> None:
    """Run by root or as mailauth, whose own groups are not all that the server has."""
    import grp
    import pwd

    service(etc, "@include common-auth\n")
    shadow = etc / "shadow"
    shadow.chmod(0o640)
    group = grp.getgrgid(shadow.stat().st_gid)
    nobody = pwd.struct_passwd(("mailauth", "x", os.geteuid(), 65534, "", "/", "/bin/false"))
    with patch.object(pwd, "getpwnam", return_value=nobody), patch.object(os, "getgrouplist", return_value=[65534]):
        assert places(pam_service.warnings(configuration(), etc)) == ["password.source"]
        shipped = (Path(__file__).parents[2] / "deploy" / "systemd" / "mailauth-shadow.conf").read_text()
        for unit, expected in (("auth", ["password.source"]), ("portal", [])):
            drop_in = etc / "systemd" / "system" / f"mailauth-{unit}.service.d" / "mailauth-shadow.conf"
            drop_in.parent.mkdir(parents=True)
            drop_in.write_text(shipped.replace("Groups=shadow", f"Groups={group.gr_name}"))
            assert places(pam_service.warnings(configuration(), etc)) == expected, "logins in the portal need it too"
