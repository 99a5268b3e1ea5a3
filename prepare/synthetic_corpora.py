"""Write the synthetic corpora: `python -m prepare.synthetic_corpora --out DIR --size demo`, with faces `--face`, as joint
positions in eight languages `--skels`."""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

from soke.data.synthetic.corpora import SIZES
from soke.data.synthetic.facial_actions import load_facial_actions
from soke.data.synthetic.phenomena import kept_shares
from soke.data.synthetic.skeleton_writer import write_skeletons
from soke.data.synthetic.writer import write_corpora
from soke.errors import UserError
from soke.run import cli


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.synthetic_corpora", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpora; made if missing")
    parser.add_argument("--size", choices=list(SIZES), default="demo", help="how many clips")
    parser.add_argument("--seed", type=int, default=1234, help="everything follows from it")
    parser.add_argument("--workers", type=cli.count, default=os.cpu_count(), help="processes; what is written is the same")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--face", action="store_true",
        help="the same signing with faces: mouthings, brows, blinks and gaze in the SMPL-FX format, what ten "
        "coefficients keep of them in SOKE's, and a corpus of isolated signs, some of which differ in the face alone",
    )
    form.add_argument(
        "--skels", action="store_true",
        help="joint positions alone, as Prompt2Sign has them: eight sign languages, from many clips to few",
    )
    options = parser.parse_args(arguments)
    common = {
        "workers": options.workers,
        "progress": lambda items, total: tqdm(items, total=total, unit="clip", desc="synthetic corpora"),
    }
    try:
        if options.skels:
            written = write_skeletons(options.out, options.size, options.seed, **common)
        else:
            written = write_corpora(options.out, options.size, options.seed, face=options.face, **common)
    except UserError as error:
        sys.exit(str(error))
    if options.face:
        shares = kept_shares(load_facial_actions())
        print("Ten expression coefficients keep of each mouth shape's squared displacement (the jaw's apart):")
        print("  " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    print(f"Synthetic corpora ({options.size}) are {'ready' if written else 'there already'}: {options.out}")


if __name__ == "__main__":
    main()
