"""The command line that the entry points share: the field's flags, then KEY.SUB=value overrides."""
from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from typing import Callable, Sequence

from soke.errors import UserError
from soke.run.config import Config, keyed, load_config

_FIRST_SPEAKS = 3.0  # seconds that other processes wait: those that end in the same error are ended by then
_BATCH_SIZE_OF = {  # of others EVAL.BATCH_SIZE
    "train": "TRAIN.BATCH_SIZE", "prepare.add_language": "TRAIN.BATCH_SIZE", "test": "TEST.BATCH_SIZE",
    "vis_mesh": "TEST.BATCH_SIZE",
}


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """Flags that every entry point takes; each adds its own."""
    result = argparse.ArgumentParser(
        prog=program, description=description, epilog="configs/default.yaml explains every configuration key."
    )
    result.add_argument("--cfg", required=True, help="configuration file, for instance configs/soke.yaml")
    result.add_argument("--cfg_assets", help="a second file merged over it: your paths")
    result.add_argument("--batch_size", type=int, help="clips per device")
    result.add_argument("--num_nodes", type=int, help="machines of a distributed run")
    result.add_argument("--device", nargs="+", help="ids of the devices; default: all that are visible")
    result.add_argument("--use_gpus", help="ids of the GPUs that shall be visible, for instance 0,1")
    result.add_argument(
        "--nodebug", action="store_true",
        help="train in full; without it train.py makes a short trial run under the name debug--NAME",
    )
    result.add_argument("overrides", nargs="*", metavar="KEY.SUB=value", help="for instance TRAIN.OPTIM.LR=1e-4")
    return result


def parse(arguments: argparse.ArgumentParser, argv: Sequence[str] | None) -> tuple[Config, argparse.Namespace]:
    """The checked configuration and the flags. Raises UserError for everything wrong in the configuration."""
    args, rest = arguments.parse_known_args(argv)
    unknown = [item for item in rest if item.startswith("-")]
    if unknown:
        arguments.error(f"unknown flag {unknown[0]}")
    overrides = [*args.overrides, *rest]
    if args.batch_size is not None:
        key = _BATCH_SIZE_OF.get(arguments.prog, "EVAL.BATCH_SIZE")
        overrides.append(f"{key}={args.batch_size}")
    if args.num_nodes is not None:
        overrides.append(f"NUM_NODES={args.num_nodes}")
    for name in ("device", "format"):  # take the overrides that follow them, too
        if items := getattr(args, name, None):
            overrides += [item for item in items if "=" in item]
            setattr(args, name, [item for item in items if "=" not in item])
    if args.device is not None:
        overrides.append(f"DEVICE=[{','.join(args.device)}]")
    if args.use_gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = args.use_gpus
    return load_config(args.cfg, args.cfg_assets, overrides), args


def numbers(text: str) -> tuple[int, ...]:
    """Of `3,10,24`, for argparse."""
    try:
        return tuple(int(item) for item in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers such as 3,10,24") from None


def positive(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    return _whole(text, range(1, sys.maxsize), "whole number from 1 on")


def count(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    return _whole(text, range(sys.maxsize), "whole number of at least 0")


def port(text: str) -> int:
    """That a server listens at, for argparse; 0: any that is free."""
    return _whole(text, range(2**16), "port, which are 0 to 65535")


def _whole(text: str, allowed: range, what: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) in allowed):
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
    return int(text)


def _is_first() -> bool:
    """Of the processes that Lightning, torchrun or srun has started."""
    ranks = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((rank for rank in ranks if rank), "0") == "0"


def run(main: Callable[[], None]) -> None:
    """Runs an entry point: what the user can mend ends in one sentence and exit status 2, without a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    for chatty in ("pytorch_lightning", "lightning", "numba", "matplotlib", "jieba", "httpx", "fsspec", "absl", "fontTools"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        with keyed():
            main()
    except UserError as error:
        time.sleep(0 if _is_first() else _FIRST_SPEAKS)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if not _lacks_memory(error):
            raise
        found = (str(error) or type(error).__name__).splitlines()[0][:120]
        print(
            f"error: there is not enough memory ({found}): set a smaller TRAIN.BATCH_SIZE, which TRAIN.ACCUMULATE makes up "
            "for, or a smaller EVAL.BATCH_SIZE or TEST.BATCH_SIZE, or use a smaller model", file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _lacks_memory(error: Exception) -> bool:
    """Whether a device or the machine had too little; torch, which may not be loaded, has an error of its own for GPUs."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate" in str(error)
