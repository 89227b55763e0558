import errno
from pathlib import Path

import pytest

from flowray.sandbox.confinement import apparmor_profile, who_refuses


def attributes(tmp_path: Path, told: str) -> Path:
    (tmp_path / "apparmor").mkdir()
    (tmp_path / "apparmor" / "current").write_text(told)
    return tmp_path


@pytest.mark.parametrize(
    ("told", "profile"),
    [
        ("flowray-runner (enforce)\n", "flowray-runner"),
        ("/usr/bin/my python (enforce)\n", "/usr/bin/my python"),
        ("flowray (unconfined)\n", ""),
        ("flowray-runner (complain)\n", ""),
        ("unconfined\n", ""),
    ],
)
def test_a_profile_holds_a_process_when_it_is_enforced(tmp_path: Path, told: str, profile: str) -> None:
    assert apparmor_profile(attributes(tmp_path, told)) == profile


def test_without_apparmor_no_profile_holds(tmp_path: Path) -> None:
    assert apparmor_profile(tmp_path) == ""


@pytest.mark.parametrize(
    ("error", "restricted", "profile", "said"),
    [
        (errno.EACCES, True, "mine", "AppArmor profile `mine`"),
        (errno.EPERM, True, "", "apparmor_restrict_unprivileged_userns=0"),
        (errno.ENOSPC, False, "", "user.max_user_namespaces"),
        (errno.EPERM, False, "", "seccomp profile"),
    ],
)
def test_a_refusal_names_who_refuses(*, error: int, restricted: bool, profile: str, said: str) -> None:
    assert said in who_refuses(error, restricted=restricted, profile=profile)
