"""Digests of source code change with it, and with nothing else."""

from pathlib import Path

import pytest

from bench.harness import source_code


def test_an_edited_module_has_another_digest_and_other_files_do_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "planted_package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "code.py").write_text("FIRST = 1\n")
    (tmp_path / "planted_module.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))

    def digest() -> str:
        source_code.digest_of.cache_clear()
        return source_code.code_digest("planted_package.inner:create", ("core",))

    first = digest()
    assert first == digest()
    assert first != source_code.code_digest("planted_module:create", ("core",))
    assert first != source_code.code_digest("planted_package.inner:create", ("core", "data"))
    (package / "notes.txt").write_text("no code")
    assert digest() == first
    (package / "inner" / "code.py").write_text("FIRST = 2\n")
    assert digest() != first
