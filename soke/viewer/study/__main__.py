"""Studies with people: makes one of results, serves its pages, analyses its answers. STUDY.md explains all of it.

    python -m soke.viewer.study make --plan plan.yaml --out study
    python -m soke.viewer.study serve study
    python -m soke.viewer.study analyse study [answers-….jsonl …]
"""
from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soke.run import cli

if TYPE_CHECKING:
    from soke.viewer.study.plan import System
    from soke.viewer.study.sources import Source


def main(argv: Sequence[str] | None = None) -> None:
    options = _options(argv)
    if options.command == "make":
        from soke.run.config import read_settings
        from soke.viewer.study.make import make
        from soke.viewer.study.plan import Plan

        plan = read_settings(options.plan, Plan)
        print(make(plan, {name: _source(name, system, plan.clips) for name, system in plan.systems.items()}, options.out))
    elif options.command == "serve":
        from soke.viewer.study.serve import serve

        serve(options.study, options.host, options.port)
    else:
        from soke.viewer.study.analyse import analyse

        print(analyse(options.study, options.files, options.out or options.study / "analysis"))


def _source(name: str, system: System, corpora: Collection[str]) -> Source:
    """A system's results, with body, layout and, of those named, corpora of the configuration that they were made with."""
    from soke.build.body import body_model, layout_of
    from soke.build.data import corpus_of
    from soke.errors import UserError
    from soke.run.config import load_config, resolve
    from soke.viewer.study.sources import Source

    folder = resolve(system.results)
    if not (folder / "config.yaml").is_file():
        raise UserError(f"SYSTEMS.{name}.RESULTS: {folder} holds no results of a test, it has no config.yaml")
    config = load_config(folder / "config.yaml")
    known = config.dataset.corpora
    absent = [corpus for corpus in corpora if corpus not in known]
    if absent:
        raise UserError(f"CLIPS.{absent[0]}: {name} was not tested on it, but on {', '.join(known)}")
    read = {corpus: corpus_of(corpus, config.dataset) for corpus in corpora}
    return Source(name, folder, system.row, config.test.split, body_model(config), layout_of(config), read)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="soke.viewer.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="writes the pages of a study")
    make.add_argument("--plan", required=True, help="YAML file, see soke/viewer/study/STUDY.md")
    make.add_argument("--out", type=Path, required=True, help="new folder")
    serve = commands.add_parser("serve", help="serves the pages, and keeps what is answered")
    serve.add_argument("study", type=Path, help="folder that `make` has written")
    serve.add_argument("--host", default="127.0.0.1", help="0.0.0.0: to be reached from other machines")
    serve.add_argument("--port", type=cli.port, default=8000, help="of the pages; default: 8000")
    analyse = commands.add_parser("analyse", help="says what the answers say")
    analyse.add_argument("study", type=Path, help="folder that `make` has written")
    analyse.add_argument("files", type=Path, nargs="*", help="that participants have saved")
    analyse.add_argument("--out", type=Path, help="folder of the analysis; default: <study>/analysis")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main)
