"""A server that refuses root gets a folder that its own user can reach."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from operate.local import account

if TYPE_CHECKING:
    from pathlib import Path

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand files to another user")


def test_who_is_not_root_runs_servers_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert account.server_user() is None


def test_root_runs_servers_as_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert account.server_user() == "nobody"


def test_a_folder_below_a_closed_one_is_not_reachable(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)

    assert not account.reachable(inner)


def test_what_the_owner_may_read_and_run_everybody_may(tmp_path: Path) -> None:
    program = tmp_path / "folder" / "program"
    program.parent.mkdir(mode=0o700)
    program.write_text("")
    program.chmod(0o700)
    text = program.with_name("text")
    text.write_text("")
    text.chmod(0o600)

    account.open_to_all(program.parent)

    modes = [path.stat().st_mode & 0o777 for path in (program.parent, program, text)]
    assert modes == [0o755, 0o755, 0o644]


def test_a_folder_of_our_own_is_private_and_made_once(tmp_path: Path) -> None:
    made = account.own_folder(tmp_path / "home", None)
    (made / "kept").touch()

    assert account.own_folder(tmp_path / "home", None) == made
    assert made.stat().st_mode & 0o777 == 0o700
    assert (made / "kept").exists()


@as_root
def test_a_folder_in_a_closed_place_is_a_link_to_an_open_one(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    link = tmp_path / "home"

    made = account.own_folder(link, "nobody")

    assert link.is_symlink()
    assert account.reachable(made.parent)
    assert made.owner() == "nobody"
    account.remove_folder(link)
    assert not made.parent.exists()
