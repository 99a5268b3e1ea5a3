"""Shows signing in a browser: results, corpora, the lexicon, and sentences that are typed.

python -m soke.viewer --cfg configs/soke.yaml
python -m soke.viewer --cfg configs/soke.yaml configs/m3t.yaml
python -m soke.viewer --results results/soke results/s_motiongpt
"""
from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from soke.build.body import scored_body
from soke.build.data import corpus_of, lexicon_of
from soke.build.stages import producer_of, stage_of
from soke.data.clip import SPLITS, Corpus
from soke.errors import UserError
from soke.run import cli
from soke.run.config import Config, keyed, load_config, resolve
from soke.text.locales import TEXT_LOCALE
from soke.viewer.serving import LOOPBACK, Viewer
from soke.viewer.signing import Signer
from soke.viewer.sources import Clips, ResultFolder, Shown, Source, corpus_source, results_source
from soke.viewer.world import World


def world_of(configs: Sequence[Config], results: Sequence[Path]) -> World:
    """What can be shown of trained systems and of result folders, theirs among them. Raises UserError for a result
    folder that is none, and where there is nothing to be shown."""
    own = [resolve(config.results) / config.name for config in configs]
    folders = [folder for folder in own if (folder / "table.json").is_file() and (folder / "clips.csv").is_file()]
    resolved = {folder.resolve() for folder in folders}
    tested = [ResultFolder(folder) for folder in [*folders, *(f for f in results if f.resolve() not in resolved)]]
    described = [*configs, *(load_config(found.folder / "config.yaml") for found in tested[len(folders):])]
    if not described:
        raise UserError("there is nothing to show: give --cfg with configurations, or --results with result folders")
    main, notes = described[0], []
    body = functools.cache(lambda: scored_body(main, "cpu"))
    corpora = _corpora(main, notes)
    signers = [
        Signer(
            config.name, functools.partial(_producer, config),
            functools.cache(lambda config=config: scored_body(config, "cpu")), _languages(config),
        ) for config in configs if stage_of(config).producer is not None
    ]
    clips = Clips(corpora, SPLITS)
    signed = {signer.name: _signing(signer, clips) for signer in signers}
    sources = [*_tested(tested, configs, clips, signed), *_browsed(corpora, clips, body, signed)]
    return World(sources, signers, notes, main.render)


def _producer(config: Config):
    with keyed():
        return producer_of(config)


def _signing(signer: Signer, clips: Clips) -> Shown:
    def motion(entry):
        clip = clips.clip(entry)
        if clip is None:
            raise UserError(f"{entry.corpus}/{entry.name} is not on this machine, and cannot be signed")
        return signer.sign(clip)

    return Shown(motion, signer.body, slow=True)


def _tested(
    tested: Sequence[ResultFolder], configs: Sequence[Config], clips: Clips, signed: Mapping[str, Shown]
) -> list[Source]:
    if not tested:
        return []
    names = [found.name for found in tested]
    labels = [found.name if names.count(found.name) == 1 else str(found.folder) for found in tested]
    by_name = {config.name: config for config in configs}
    bodies = {}
    for label, found in zip(labels, tested):
        config = by_name.get(found.name) or load_config(found.folder / "config.yaml")
        bodies[label] = functools.cache(lambda config=config: scored_body(config, "cpu"))
    at_hand = {label: shown for label, shown in signed.items() if label in labels}
    return [results_source(dict(zip(labels, tested)), bodies, clips, at_hand)]


def _corpora(config: Config, notes: list[str]) -> list[Corpus]:
    """Those that are there; the notes say why others are not."""
    found: list[Corpus] = []
    with keyed():
        for name in config.dataset.corpora:
            try:
                found.append(corpus_of(name, config.dataset))
            except UserError as error:
                notes.append(str(error))
        try:
            lexicon = lexicon_of(config, list(found))
        except UserError as error:
            lexicon = None
            notes.append(str(error))
    return [*found, lexicon] if lexicon is not None else found


def _languages(config: Config) -> list[str]:
    """Sign languages of a system's corpora; of none that are there, all."""
    found = []
    with keyed():
        for name in config.dataset.corpora:
            with suppress(UserError):
                found.append(corpus_of(name, config.dataset).language)
    return list(dict.fromkeys(found)) or list(TEXT_LOCALE)


def _browsed(corpora: Sequence[Corpus], clips: Clips, body: Callable, signed: Mapping[str, Shown]) -> list[Source]:
    """Every split of every corpus, the tested one first, and the lexicon."""
    sources = []
    for corpus in corpora:
        if corpus.name == "lexicon":
            sources.append(corpus_source(corpus, "train", clips, body))
            continue
        splits = [split for split in reversed(SPLITS) if split in getattr(corpus, "splits", SPLITS)]
        with_sentences = getattr(corpus, "has_sentences", True)
        sources += [corpus_source(corpus, s, clips, body, signed if with_sentences else {}) for s in splits]
    return sources


def _is_override(item: str) -> bool:
    """Of a list of files or folders: KEY.SUB=value, unless it is there."""
    return "=" in item and not Path(item).exists()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="soke.viewer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="configs/default.yaml explains every configuration key.",
    )
    parser.add_argument("--cfg", nargs="+", default=[], help="configurations, one for each system that is to sign")
    parser.add_argument("--cfg_assets", help="a file merged over each: your paths")
    parser.add_argument("--results", nargs="+", default=[], help="folders that test.py has written")
    parser.add_argument(
        "--host", default=LOOPBACK, help="address to listen at; default: this machine alone can open pages. Who can open "
        "one can read all that is shown, and have it signed: give another where you trust the network",
    )
    parser.add_argument("--port", type=cli.port, default=8080, help="of the pages; default: 8080; where it is taken, the next free one")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value", help="of the configurations")
    args, rest = parser.parse_known_args(argv)
    if unknown := [item for item in rest if item.startswith("-")]:
        parser.error(f"unknown flag {unknown[0]}")
    listed = [*args.cfg, *args.results]  # --cfg and --results take the overrides that follow them, too
    given = [*(item for item in listed if _is_override(item)), *args.overrides, *rest]
    configs = [load_config(item, args.cfg_assets, given) for item in args.cfg if not _is_override(item)]
    if given and not configs:
        raise UserError(f"{given[0]} is of the configurations that --cfg names, and there are none: leave it out")
    results = [Path(item) for item in args.results if not _is_override(item)]
    viewer = Viewer(world_of(configs, results), args.host, args.port)
    print(f"open {viewer.address} in a browser; interrupt with Ctrl+C to end", flush=True)
    viewer.wait()


if __name__ == "__main__":
    cli.run(main)
