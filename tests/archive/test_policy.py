"""Policy files: what they may say, and refusals that say what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.policy import Policy, Target, policy_from, read_policy

FULL = """
pack = "spatial"
keep_study = true
[default]
ratio = 300
min_ssim = 0.9
[[rule]]
modality = "US"
view = "*four chamber*"
quality = 90
[[rule]]
path = "*/raw/*"
keep = true
"""


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(FULL)
    policy = policy_from(read_policy(tmp_path / "p.toml"))
    assert policy.target("US", "Apical Four Chamber view", "x") == Target(quality=90)
    assert policy.target("US", "other", "a/raw/x").keep
    assert policy.target("US", "", "x") == Target(ratio=300, min_ssim=0.9)
    assert policy.keep_study
    assert policy_from(policy.as_dict()) == policy


@pytest.mark.parametrize(("text", "words"), [
    ("[default]\nquality = 300", "outside 0 to 100"), ("[default]\nratio = 0.5", "outside 1"),
    ("[default]\nquality = 50\nratio = 20", "at once"), ("[default]\nqualty = 50", "no 'qualty'"),
    ("[default]\nquality = 'x'", "cannot be"), ("[[rule]]\nquality = 3", "names a pattern"),
    ("[[rule]]\nview = 3\nquality = 3", "names a pattern"), ("keep_study = 1", "true or false"),
    ("rule = 3", "another form"), ("default = 3", "another form"), ("x y", "not a TOML"),
    ("[default]\nquality = true", "cannot be")])
def test_refusals_name_file_and_fault(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ArchiveError, match=words) as caught:
        read_policy(tmp_path / "p.toml")
    assert "p.toml" in caught.value.what


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot be read"):
        read_policy(tmp_path / "none.toml")


def test_attempts_keep_the_least_ssim() -> None:
    def attempts(target: Target) -> list[dict[str, float]]:
        return list(target.attempts())

    assert attempts(Target(quality=50)) == [{"quality": 50}]
    assert attempts(Target(psnr=30)) == [{"psnr_db": 30}]
    assert attempts(Target(ratio=300)) == [{"ratio": 300}]
    assert attempts(Target(quality=90, min_ssim=0.9)) == [{"psnr_db": 33.0, "min_ssim": 0.95}]
    assert attempts(Target(quality=40, min_ssim=0.9)) == [{"psnr_db": 26.0, "min_ssim": 0.9}]
    assert attempts(Target(ratio=300, min_ssim=0.9)) == [{"ratio": 300}, {"min_ssim": 0.9}]
    assert attempts(Target(psnr=30, min_ssim=0.9)) == [{"psnr_db": 30, "min_ssim": 0.9}]
    assert attempts(Target(min_ssim=0.9)) == [{"min_ssim": 0.9}]
    assert attempts(Policy().default) == [{"quality": 70}]


def test_qualities_have_names() -> None:
    policy = policy_from({"default": {"quality": "preview"}, "rule": [{"view": "x", "quality": "diagnostic"}]})
    assert policy.target("", "", "") == Target(quality=40)
    assert policy.target("", "x", "") == Target(quality=90)
    with pytest.raises(ArchiveError, match="quality cannot be"):
        policy_from({"default": {"quality": "best"}})
