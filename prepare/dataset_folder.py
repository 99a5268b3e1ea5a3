"""Write a packed store as a folder that Hugging Face's `datasets` reads, and read such a folder back as a packed store.

    python -m prepare.dataset_folder write --store data/demo/How2Sign/packed --to shared/how2sign
    python -m prepare.dataset_folder read --folder shared/how2sign --to data/copy/How2Sign/packed

The store is what `prepare.pack_poses` makes. What is read back is bit for bit what was written, and needs neither frame
files nor annotations: DATASET.CORPORA.<name>.ROOT is the folder above `packed`. To push and to fetch such a folder, use
`hf upload user/name FOLDER --repo-type dataset` and `hf download`.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from soke.errors import UserError
from soke.run import cli


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.dataset_folder", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write", help="a packed store as a folder of parquet files with a data card")
    write.add_argument("--store", type=Path, required=True, help="folder that prepare.pack_poses has written")
    write.add_argument("--to", type=Path, required=True, help="new folder")
    write.add_argument("--license", default="", help="of the folder, by the hub's identifier, such as cc-by-4.0")
    write.add_argument(
        "--may_be_passed_on", action="store_true",
        help="you say that the corpus's terms allow passing it on; invented corpora need it not",
    )
    read = commands.add_parser("read", help="such a folder as a packed store")
    read.add_argument("--folder", type=Path, required=True, help="folder that `write` has written")
    read.add_argument("--to", type=Path, required=True, help="folder of the store: packed/ in the corpus's root")
    args = parser.parse_args(argv)

    from tqdm import tqdm

    from prepare.pack_poses import summary
    from soke.build.cards import counted, terms_of
    from soke.data.storage.dataset_folder import read_dataset, write_dataset
    from soke.data.storage.packed import PackedStore
    from soke.report.data_card import data_card

    if args.command == "read":
        print(summary(read_dataset(args.folder, args.to, tqdm)))
        return
    store = PackedStore(args.store)
    title, terms, invented = terms_of(store.corpus, args.store.parent)
    if not invented and not args.may_be_passed_on:
        raise UserError(
            f"{args.store} holds {title}, given {terms}: most corpora of signers may not be passed on; if this one may, "
            "say so with --may_be_passed_on"
        )
    write_dataset(store, args.to, data_card(store.corpus, store.form, counted(store), title, terms, args.license), tqdm)
    print(f"{args.to}: {summary(store)}")


if __name__ == "__main__":
    cli.run(lambda: main(sys.argv[1:]))
