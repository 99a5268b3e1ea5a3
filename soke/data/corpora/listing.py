"""Which of the clips that a corpus annotates can be used, and why the others cannot."""
from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.corpora.annotations import safe_name
from soke.data.storage.formats import MIN_FRAMES, FrameFormat
from soke.storage import existing

_log = logging.getLogger(__name__)
MIN_FPS, MAX_FPS = 5.0, 240.0  # recordings of signers lie between them; other rates are mistakes
FEW_FRAMES = f"of fewer than {MIN_FRAMES} frames"
_NAMED_IN_LOG = 5
_ROUNDING = 1.5  # frames by which annotated durations may be off


@dataclass
class Listing:
    """The clips of one split.

    clips:   usable ones, in annotation order
    skipped: faulty ones
    dropped: number of clips that a rule of the corpus excludes, per rule
    """

    clips: list[Clip] = field(default_factory=list)
    skipped: list[SkippedClip] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return len(self.clips) + len(self.skipped) + sum(self.dropped.values())


def with_frames(annotated: Listing, corpus: str, form: FrameFormat, needed: bool = True) -> Listing:
    """Sorts annotated clips by whether they can be used. Where the frames tell their rate, the clip has it.

    corpus: its name
    form:   of its stored frames
    needed: whether a clip without frames is faulty
    """
    listing = Listing([], list(annotated.skipped), Counter(annotated.dropped))
    names: set[str] = set()
    for clip in annotated.clips:
        try:
            clip, frames = _looked_at(clip, form)
        except ClipError as error:
            listing.skipped.append(SkippedClip(corpus, clip.name, str(error)))
            continue
        if not frames and not needed:
            frames = MIN_FRAMES
        fault = _fault(clip, names, frames, form)
        if fault is not None:
            listing.skipped.append(SkippedClip(corpus, clip.name, fault))
            continue
        names.add(clip.name)
        if frames < MIN_FRAMES:
            listing.dropped[FEW_FRAMES] += 1
        else:
            listing.clips.append(clip)
    return listing


def _looked_at(clip: Clip, form: FrameFormat) -> tuple[Clip, int | None]:
    """The clip, where its frames are and at their rate, and how many there are, see `FrameFormat.look`. Raises
    ClipError for what cannot be read, and for a rate that the annotation shows to be wrong."""
    look = form.look(clip.frames, MIN_FRAMES)
    if look is None:
        clip = replace(clip, frames=existing(clip.frames))
        look = form.look(clip.frames, MIN_FRAMES)
    if look is None:
        return clip, None
    frames, fps = look
    if fps is None:
        return clip, frames
    annotated, told = ((clip.seconds or 0) * rate for rate in (clip.fps, fps))  # frames
    if clip.seconds and abs(frames - annotated) <= _ROUNDING < abs(frames - told):
        raise ClipError(
            f"clip {clip.name}: the {frames} frames of {clip.frames} last {clip.seconds:.2f} s at {clip.fps:g} frames/s"
            f", as annotated, but the file says {fps:g} frames/s; write it again with the right rate"
        )
    return replace(clip, fps=fps), frames


def fault_of_words(name: str, text: str, names: Collection[str]) -> str | None:
    """Why a clip of this name and text cannot be used; `names` are those of the clips before it."""
    if not name:
        return "it has no name"
    try:
        safe_name(name)
    except ValueError as error:
        return str(error)
    if name in names:
        return "another clip of the split has the same name; the first is kept"
    return None if text else "its text is empty"


def _fault(clip: Clip, names: Collection[str], frames: int | None, form: FrameFormat) -> str | None:
    """Why the annotated clip cannot be used; `names` are those of the clips before it, `frames` its number."""
    fault = fault_of_words(clip.name, clip.text, names)
    if fault is not None:
        return fault
    if not MIN_FPS <= clip.fps <= MAX_FPS:
        return f"its frame rate of {clip.fps:g} is none of a recording ({MIN_FPS:g} to {MAX_FPS:g} frames/s)"
    if clip.seconds is not None and clip.seconds <= 0:
        return f"its annotation says that it lasts {clip.seconds:g} s"
    if not frames:
        return f"{clip.frames} {'does not exist' if frames is None else form.absent}"
    return None


def nothing_left(listing: Listing, likely_causes: Mapping[str, str]) -> str:
    """Why none of a listing's clips can be used.

    likely_causes: rule that drops clips -> what is probably the matter when it drops all of them
    """
    reasons = []
    for rule, count in listing.dropped.items():
        cause = f" ({likely_causes[rule]})" if rule in likely_causes else ""
        reasons.append(f"{count} are dropped by the rule: {rule}{cause}")
    if listing.skipped:
        many = f"{len(listing.skipped)} are faulty; " if reasons else ""
        reasons.append(f"{many}the first, {listing.skipped[0].name}: {listing.skipped[0].reason}")
    return "; ".join(reasons)


def report(listing: Listing, corpus: str, split: str) -> None:
    """Logs what a listing leaves out."""
    if listing.dropped:
        rules = ", ".join(f"{count} {rule}" for rule, count in listing.dropped.items())
        _log.info("%s %s: dropped by rule: %s", corpus, split, rules)
    if listing.skipped:
        names = ", ".join(skipped.name for skipped in listing.skipped[:_NAMED_IN_LOG])
        _log.warning(
            "%s %s: %d of %d clips skipped: %s%s (the first: %s)", corpus, split, len(listing.skipped),
            listing.total, names, ", …" if len(listing.skipped) > _NAMED_IN_LOG else "", listing.skipped[0].reason,
        )
