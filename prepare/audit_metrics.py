"""Audit every metric: does it order damage, does it see it, does it prefer it to a second signer, does it follow the signs?

    python -m prepare.audit_metrics --cfg configs/demo/soke.yaml
    python -m prepare.audit_metrics --cfg configs/soke.yaml --clips 50

References of split TEST.SPLIT are damaged in known ways (seventeen kinds, three grades each), and every score that the
configuration's corpora allow is asked about them; soke/evaluation/AUDIT.md says how, and how to read the table.
Writes audit.txt, audit.csv, audit.json and audit.png to <RESULTS>/<NAME>/audit, or to --out.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from soke.build.audit import audit
from soke.errors import UserError
from soke.evaluation.audit.audit import files_of
from soke.run import cli
from soke.run.config import load_config, resolve
from soke.storage import new_file


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.audit_metrics", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cfg", required=True, help="configuration that names corpora, parts and models")
    parser.add_argument("--cfg_assets", help="a second file merged over it: your paths")
    parser.add_argument("--clips", type=int, default=16, help="clips of each corpus; default: 16")
    parser.add_argument("--out", type=Path, help="folder; default: audit, in the configuration's results")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value")
    options = parser.parse_intermixed_args(arguments)
    if options.clips < 3:
        raise UserError(f"--clips is {options.clips}: an audit needs 3 clips of each corpus, to take signs of one for another")
    config = load_config(options.cfg, options.cfg_assets, options.overrides)
    folder = options.out or resolve(config.results) / config.name / "audit"
    files = files_of(audit(config, options.clips))
    for name, content in files.items():
        with new_file(folder / name) as path:
            content(path) if callable(content) else path.write_text(content, encoding="utf-8")
    print(files["audit.txt"])
    print(f"the picture is {folder / 'audit.png'}")


if __name__ == "__main__":
    cli.run(main)
