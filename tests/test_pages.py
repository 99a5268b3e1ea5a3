"""The pages name what is there: files, keys of the configuration, flags of the commands."""

import re
import shlex

import pytest
from omegaconf import OmegaConf

from soke.run.config import ROOT, load_config

PAGES = [ROOT / "README.md", *(page for room in ("deps", "configs", "soke") for page in (ROOT / room).rglob("*.md"))]
WITH_CONFIGS = [*PAGES, *(ROOT / "configs").rglob("*.yaml")]
FILE = re.compile(r"(?<![\w/.{}<>$*])(?:soke|configs|prepare|tests)/[\w./*-]*[\w*](?![\w{])")
COMMAND = re.compile(r"python -m ((?:prepare|soke|train|test|get_motion_code|vis_mesh)[\w.]*)((?: [^`\n#]*)?)")


def keys(section: dict, above: str = "") -> set[str]:
    below = (keys(value, f"{above}{name}.") for name, value in section.items() if isinstance(value, dict))
    return {above + name for name in section}.union(*below)


KEYS = keys(OmegaConf.to_container(OmegaConf.load(ROOT / "configs" / "default.yaml")))
SECTIONS = {name.split(".")[0] for name in KEYS if "." in name}
KEY = re.compile(rf"(?<![\w.])(?:{'|'.join(sorted(SECTIONS))})(?:\.[A-Z0-9_]+)+")


@pytest.mark.parametrize("page", WITH_CONFIGS, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("http")]
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [file for file in FILE.findall(text) if not any(ROOT.glob(file))] == []
    assert [key for key in KEY.findall(text) if key not in KEYS] == []


def source(module: str) -> str:
    """Of the program that `python -m` runs."""
    file = ROOT / module.replace(".", "/")
    return (file / "__main__.py" if file.is_dir() else file.with_suffix(".py")).read_text(encoding="utf-8")


def commands_of_pages() -> list[tuple[str, str]]:
    """Modules and what follows them."""
    texts = (page.read_text(encoding="utf-8").replace("\\\n", " ") for page in PAGES)
    return [found for text in texts for found in COMMAND.findall(text)]


def test_commands_of_pages_take_their_flags():
    shared = source("soke.run.cli") + source("prepare.plans") + source("soke.evaluation.score")
    commands = commands_of_pages()
    assert len(commands) > 60
    unknown = [
        (module, flag) for module, arguments in commands for flag in re.findall(r"(?<= )--[a-z_-]+", arguments)
        if f'"{flag}"' not in source(module) + shared
    ]
    assert unknown == []


def test_settings_of_commands_of_pages_are_accepted():
    loaded = 0
    for _, arguments in commands_of_pages():
        words = shlex.split(arguments)
        settings = [word for word in words if re.match(r"[A-Z][A-Z_]*(?:\.\w+)*=", word)]
        for file in (word for word in words if settings and word.startswith("configs/")):
            load_config(file, overrides=settings)
            loaded += 1
    assert loaded > 7
