"""What face and head say beside the words: topics, questions, negation, and the boundaries between them."""
from __future__ import annotations

from dataclasses import dataclass

from soke.data.synthetic.language import InventedSentence, SpokenLanguage


@dataclass(frozen=True)
class Marks:
    """Runs of signs, (first, last), counted from 0.

    topics:     brows up, head back; questions: brows up, head forward; negations: head shakes, brows down
    boundaries: signs after which something ends, the last one included
    """

    topics: tuple[tuple[int, int], ...] = ()
    questions: tuple[tuple[int, int], ...] = ()
    negations: tuple[tuple[int, int], ...] = ()
    boundaries: tuple[int, ...] = ()


def marks_of(sentence: InventedSentence, spoken: SpokenLanguage) -> Marks:
    """Follows from the text alone: from the template, and from whether a verb is one of the negative ones."""
    topics, clauses = [], [[]]
    asked = False
    at = 0
    for token in spoken.clauses[sentence.template].split():
        if token == "|":
            topics.append((0, at - 1))
            clauses = [[]]
        elif token == "/":
            clauses.append([])
        elif token == "?":
            asked = True
        else:
            clauses[-1].append(at)
            at += 1
    runs = [(clause[0], clause[-1]) for clause in clauses]
    negative = [any(word in spoken.negative for word in sentence.words[a : b + 1]) for a, b in runs]
    return Marks(
        topics=tuple(topics),
        questions=tuple(runs) if asked else (),
        negations=tuple(run for run, no in zip(runs, negative) if no),
        boundaries=tuple(last for _, last in (*topics, *runs)),
    )
