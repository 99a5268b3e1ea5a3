"""Push a trained model, with a card of what its run has recorded, to the Hugging Face hub, or write both into a folder.

    python -m prepare.push_to_hub --model experiments/generator/soke/generator --repo user/name
    python -m prepare.push_to_hub --model experiments/translation/back_translation --to shared/readers

A generator takes its tokenizer with it; the folder of a back-translation run takes the models of all its corpora. The
hub asks for a login once (`hf auth login`), or for HF_TOKEN. Wherever a configuration asks for such a model, user/name is
taken, too, and user/name@revision.
"""
from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from soke.errors import UserError
from soke.run import cli


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.push_to_hub", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder that a training has exported")
    parser.add_argument("--repo", default="", help="user/name, or user/name@branch, on the hub")
    parser.add_argument("--to", type=Path, help="write into this new folder in place of the hub")
    parser.add_argument("--private", action="store_true", help="a new repository is private")
    parser.add_argument("--license", default="", help="of the weights, by the hub's identifier, such as cc-by-nc-4.0")
    parser.add_argument("--text", type=Path, help="file of Markdown for the card: what the model is for, and what not")
    parser.add_argument(
        "--results", type=Path, nargs="+", default=[], help="folders of its tests; those of the run's name are found"
    )
    args = parser.parse_args(argv)
    if bool(args.repo) == (args.to is not None):
        raise UserError("name either --repo user/name, of the hub, or --to, a new folder")

    from soke.build.cards import check_whole, described, models_in
    from soke.hub import push, safe_files
    from soke.report.model_card import model_card
    from soke.storage import new_folder, read_text, require_new

    models = models_in(args.model)
    for path in models.values():
        check_whole(path)
    text = read_text(args.text) if args.text else ""
    repo = args.repo.partition("@")[0] or args.to.name
    card = model_card([described(path, name, args.results) for name, path in models.items()], repo, args.license, text)
    files = [f"{name}/{file}" if name else file for name, path in models.items() for file in safe_files(path)]
    if args.repo:
        print(f"{args.repo}: {push(args.model, files, args.repo, card, args.private)}")
        return
    if args.to.resolve().is_relative_to(args.model.resolve()):
        raise UserError(f"--to {args.to} lies in the model's own folder, of which it would be a part: name another")
    require_new(args.to)
    with new_folder(args.to) as target:
        for file in files:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(args.model / file, target / file)
        (target / "README.md").write_text(card, encoding="utf-8")
    print(f"{args.to}: {len(files)} files and their card, README.md")


if __name__ == "__main__":
    cli.run(lambda: main(sys.argv[1:]))
