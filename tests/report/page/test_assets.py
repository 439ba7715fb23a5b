"""What is inlined in the page: the vendored library is the one of its package, and all is allowed
by the page's policy and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.report.page import assets as module
from bench.report.page.assets import VENDOR, assets, vendored

ROOT = Path(__file__).parents[3]


def test_vendored_files_have_their_digest_version_and_licence():
    entries = vendored()
    assert entries
    for entry in entries:
        folder = ROOT / "bench" / "report" / VENDOR
        text = (folder / entry["file"]).read_bytes()
        assert hashlib.sha256(text).hexdigest() == entry["sha256"]
        assert f"{entry['name']} {entry['version']}".encode() in text[:200]
        assert entry["licence"] in (folder / entry["licence_file"]).read_text(encoding="utf-8")


def test_another_file_than_the_vendored_one_is_refused(monkeypatch):
    read = module.read

    def changed(folder, name):
        return read(folder, name) + (" " if name.endswith(".min.js") else "")

    monkeypatch.setattr(module, "read", changed)
    with pytest.raises(ValueError, match="sha256"):
        assets()


def test_policy_allows_these_scripts_and_no_request():
    found = assets()
    for script in found.scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in found.policy
    assert "default-src 'none'" in found.policy
    assert not re.search(r"https?:|\*", found.policy)
    assert not any("</script" in script.lower() for script in found.scripts)


@pytest.mark.slow
def test_the_wheel_has_the_vendored_library_and_its_licence(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "-w", str(tmp_path), str(ROOT)], capture_output=True, text=True, check=False
    )
    if "BackendUnavailable" in done.stderr or "No module named 'setuptools'" in done.stderr:
        pytest.skip("no setuptools to build with")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for entry in vendored():
        assert f"bench/report/vendor/{entry['file']}" in names
        assert any(name.endswith(entry["licence_file"]) for name in names)
    assert "bench/report/templates/page.js" in names
