"""Making a study: videos of everything that is shown, the pages, and the key that tells what was shown."""
from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

from tqdm import tqdm

from soke.body.motion import JointMotion, Motion
from soke.data.clip import Clip, locale_of
from soke.errors import UserError
from soke.evaluation.rows import derangement
from soke.render.figure import Figure, figures_of
from soke.render.video import write_video
from soke.storage import file_hash, new_folder, read_json, require_new, write_json
from soke.viewer.study.forms import COMPREHEND, Entry, Item, forms_of, items_of
from soke.viewer.study.key import KEY, SITE, hash_of
from soke.viewer.study.plan import GROUND_TRUTH, SHUFFLED, Plan
from soke.viewer.study.sources import Source

PAGES = Path(__file__).parent / "pages"
_COPIED = ("index.html", "study.css", "study.js", "collects.js")


def make(plan: Plan, sources: Mapping[str, Source], out: Path) -> Path:
    """Writes a study's folder: the pages to be put on a web server, and the key, which stays at home.

    sources: name of each of the plan's systems -> its results; signers and texts are those of the first one

    Returns the page that begins the study. Raises UserError for a folder that holds something, and for clips that are
    not there, or cannot be shown.
    """
    require_new(out)
    clips = _chosen(plan, sources)
    truth = next(iter(sources.values()))
    texts = [clip.text for clip in clips]
    others = {name: _others([clip.text for clip in truth.clips(name)], texts, plan.distractors) for name in plan.clips}
    try:
        items = items_of(plan, [clip.corpus for clip in clips], texts, others)
    except ValueError as error:
        raise UserError(f"comprehension cannot be asked: {error}") from None
    forms = forms_of(plan, items)
    videos = _videos(plan, items)
    with new_folder(out) as folder:
        site = folder / SITE
        hashes = _draw(plan, sources, clips, videos, site / "videos")
        content = {
            "plan": asdict(plan),
            "clips": [
                {"corpus": c.corpus, "name": c.name, "text": c.text, "lang": _lang(truth, c)} for c in clips
            ],
            "videos": [{"clip": clip, "shown": shown, "hash": hashes[clip, shown]} for clip, shown in videos],
            "items": [asdict(item) | {"videos": _of_item(item, videos)} for item in items],
            "forms": [[asdict(entry) for entry in form] for form in forms],
            "scores": {name: [source.scores(clip) for clip in clips] for name, source in sources.items()},
        }
        content = json.loads(json.dumps(content))
        content["hash"] = hash_of(content)
        write_json(folder / KEY, content)
        _write_site(site, plan, content, forms)
    return out / SITE / "index.html"


def _chosen(plan: Plan, sources: Mapping[str, Source]) -> list[Clip]:
    """Clips of other sentences each, which every system has signed."""
    truth, chosen = next(iter(sources.values())), []
    for corpus, count in plan.clips.items():
        signed = set.intersection(*(source.signed(corpus) for source in sources.values()))
        clips = [clip for clip in truth.clips(corpus) if clip.name in signed and clip.text]
        clips.sort(key=lambda clip: clip.name)
        Random(f"{plan.seed}/clips {corpus}").shuffle(clips)
        clips = list({clip.text: clip for clip in reversed(clips)}.values())[::-1]
        if len(clips) < count:
            raise UserError(
                f"CLIPS.{corpus} is {count}, but there are {len(clips)} clips of different sentences that "
                f"{', '.join(sources)} have all signed"
            )
        if count == 1 and (plan.checks or SHUFFLED in {*plan.anchors, *sum(plan.pairs, [])}):
            raise UserError(f"CLIPS.{corpus} is 1: no other clip could be shown for the sentence ({SHUFFLED}); state 2")
        chosen += clips[:count]
    return chosen


def _others(texts: Sequence[str], shown: Sequence[str], least: int) -> list[str]:
    """Sentences that may stand beside a shown one: of clips that are not shown where there are enough."""
    unseen = set(texts) - set(shown)
    return sorted(unseen if len(unseen) >= least else set(texts))


def _lang(truth: Source, clip: Clip) -> str:
    """Language of a clip's sentence, as HTML names it."""
    return locale_of(truth.corpora[clip.corpus]).split("_")[0]


def _videos(plan: Plan, items: Sequence[Item]) -> list[tuple[int, str]]:
    """Clip and whose signing, in an order that does not tell it."""
    videos = sorted({(item.clip, name) for item in items for name in item.shown})
    Random(f"{plan.seed}/videos").shuffle(videos)
    return videos


def _of_item(item: Item, videos: Sequence[tuple[int, str]]) -> list[int]:
    return [videos.index((item.clip, name)) for name in item.shown]


def video_name(number: int) -> str:
    return f"{number:04d}.mp4"


def _draw(
    plan: Plan, sources: Mapping[str, Source], clips: Sequence[Clip], videos: Sequence[tuple[int, str]], folder: Path
) -> dict[tuple[int, str], str]:
    """Writes the videos, those of one clip with the same cameras; hashes of their files."""
    shuffled, hashes = _shuffled(clips), {}
    for number, clip in enumerate(tqdm(clips, desc="drawing", unit="clip")):
        names = [name for of, name in videos if of == number]
        figures = _figures(sources, names, clip, clips[shuffled[number]])
        for name in names:
            path = folder / video_name(videos.index((number, name)))
            others = [figure for other, figure in figures.items() if other != name]
            size = plan.render.size, plan.render.size
            write_video(path, [figures[name]], "", size, plan.render.backend, progress=False, beside=others)
            hashes[number, name] = file_hash(path)
    return hashes


def _shuffled(clips: Sequence[Clip]) -> list[int]:
    """For every clip another one of its corpus."""
    partner = [0] * len(clips)
    for corpus in dict.fromkeys(clip.corpus for clip in clips):
        own = [number for number, clip in enumerate(clips) if clip.corpus == corpus]
        for number, moved in zip(own, derangement([clips[n].text for n in own])):
            partner[number] = own[moved]
    return partner


def _figures(sources: Mapping[str, Source], names: Sequence[str], clip: Clip, other: Clip) -> dict[str, Figure]:
    """Name -> what is drawn of it, without a label; other: the clip that is shown in place of this one."""
    truth, figures = next(iter(sources.values())), {}
    of_body: dict[str, dict[str, Motion | JointMotion]] = {}  # label of a body -> name -> what it does
    for name in names:
        source = sources.get(name, truth)
        motion = source.motion(clip) if name in sources else truth.truth(clip if name == GROUND_TRUTH else other)
        of_body.setdefault(source.body.label, {})[name] = motion
    bodies = {source.body.label: source.body for source in sources.values()}
    try:
        for label, motions in of_body.items():
            drawn = figures_of(bodies[label], motions, close_ups=bodies[label].head is not None)
            figures |= {figure.label: replace(figure, label="") for figure in drawn}
    except ValueError as error:
        raise UserError(f"{clip.corpus}/{clip.name} cannot be drawn: {error}") from error
    if len({len(figure.close_ups) for figure in figures.values()}) > 1:
        raise UserError(f"{', '.join(names)} have bodies of different kinds, mesh and sticks, which people would tell apart")
    return figures


def _write_site(site: Path, plan: Plan, content: Mapping, forms: Sequence[Sequence[Entry]]) -> None:
    """The pages, and what they may know: nothing of systems, checks and right answers."""
    for name in _COPIED:
        shutil.copyfile(PAGES / name, site / name)
    words = read_json(PAGES / "words.json", "install the package again")
    items = []
    for item in content["items"]:
        task = item["task"]
        asked = {"prefer": plan.prefer, "rate": plan.rate, "comprehend": []}[task]
        clip = content["clips"][item["clip"]]
        public = {"task": task, "videos": [f"videos/{video_name(v)}" for v in item["videos"]], "lang": clip["lang"]}
        public |= {"questions": asked} if task != COMPREHEND else {"options": item["options"]}
        items.append(public | ({"text": clip["text"]} if task != COMPREHEND else {}))
    data = {
        "hash": content["hash"], "languages": plan.languages, "title": plan.title, "consent": plan.consent,
        "about": [asdict(detail) for detail in plan.about], "items": items,
        "forms": [[[entry.item, int(entry.swapped), list(entry.order)] for entry in form] for form in forms],
        "words": {language: words[language] for language in plan.languages}, "questions": plan.questions,
    }
    text = f"window.STUDY = {json.dumps(data)};\n"  # ASCII alone, so that no server's encoding matters
    (site / "data.js").write_text(text, encoding="utf-8")
