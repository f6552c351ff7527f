"""The one setup cell: silent outside Colab, strict about its address on it, and never in the way of numpy or torch."""

import copy
import subprocess
import sys
import types

import pytest
from setup_cell import badge_source, read_config, setup_source, stamp

OWN = {"repository": {"url": "https://github.com/someone/some-book", "branch": "main"}}
RESERVED = {"repository": {"url": "https://github.invalid/replace-or-accumulate", "branch": "main"}}


@pytest.fixture
def calls(monkeypatch):
    made = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: made.append(command))
    return made


@pytest.fixture
def colab(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))


def test_does_nothing_elsewhere(calls, capsys):
    exec(setup_source(OWN), {})
    assert calls == [] and capsys.readouterr() == ("", "")


def test_stops_on_colab_while_the_address_is_reserved(calls, colab):
    with pytest.raises(RuntimeError, match=r"^set repository.url in _config.yml$"):
        exec(setup_source(RESERVED), {})
    assert calls == []


def test_installs_the_project_and_only_what_is_lacking(calls, colab, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "h5netcdf" else object())
    exec(setup_source(OWN), {})
    (command,) = calls
    assert command[:4] == [sys.executable, "-m", "pip", "install"] and "--no-deps" in command
    assert command[-2:] == ["git+https://github.com/someone/some-book@main", "h5netcdf"]
    assert not {"numpy", "torch"} & set(command)


def test_badge_links_only_to_what_exists():
    assert "](http" not in badge_source(RESERVED, "02-gaussian")
    address = "https://colab.research.google.com/github/someone/some-book/blob/main/notebooks/02-gaussian.ipynb"
    assert f"({address})" in badge_source(OWN, "02-gaussian")
    elsewhere = {"repository": {"url": "https://git.example.org/a/b", "branch": "main"}}
    assert "colab.research" not in badge_source(elsewhere, "02-gaussian")


def blank():
    return {
        "cells": [
            {
                "cell_type": "markdown",
                "metadata": {},
                "source": ["# 2. T\n", "<!-- badge -->\n", "old\n", "<!-- /badge -->"],
            },
            {"cell_type": "code", "metadata": {"tags": ["setup"]}, "source": "old"},
        ]
    }


def test_stamp_writes_both_and_is_stable():
    once = stamp(blank(), "02-gaussian", OWN)
    assert badge_source(OWN, "02-gaussian") in once["cells"][0]["source"] and "old" not in once["cells"][0]["source"]
    assert once["cells"][1]["source"] == setup_source(OWN)
    assert stamp(copy.deepcopy(once), "02-gaussian", OWN) == once


def test_stamp_refuses_a_chapter_without_a_place_for_it():
    without_badge = blank()
    without_badge["cells"][0]["source"] = "# 2. T"
    with pytest.raises(ValueError, match="02-gaussian.*badge"):
        stamp(without_badge, "02-gaussian", OWN)
    without_setup = blank()
    without_setup["cells"][1]["metadata"] = {}
    with pytest.raises(ValueError, match="02-gaussian: 0 cells"):
        stamp(without_setup, "02-gaussian", OWN)


def test_other_files_name_the_configured_address(root):
    url = read_config()["repository"]["url"]
    assert f'repository-code: "{url}"' in (root / "CITATION.cff").read_text(encoding="utf-8")
