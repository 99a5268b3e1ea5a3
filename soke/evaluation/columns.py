"""The columns that end up on the screen: tables below each other, name and part of each column; files hold all."""

from __future__ import annotations

Columns = tuple[tuple[tuple[str, str], ...], ...]

# Of produced motion; the second table tells who stands still, smooths or says something else. An oracle alone gives the
# sign error rate.
OF_MOTIONS: Columns = (
    (("sign error rate", ""), ("DTW-PA-JPE", "hand"), ("DTW-PA-JPE", "body"), ("BLEU-4", ""), ("length", "")),
    (
        ("DTW-VPE", "face"), ("PT-DTW", ""), ("DTW-MJE", ""), ("speed", "hand"), ("wrist path", ""), ("SiBLEU", "hand"),
    ),
    (  # of the models that METRIC.RETRIEVAL and METRIC.FRECHET name
        ("similarity", "to its sentence"), ("R@1", "text→motion"), ("R@1", "motion→text"), ("Fréchet distance", "latents"),
    ),
)
OF_TEXTS: Columns = ((("BLEU-4", ""), ("ROUGE-L", ""), ("WER", "")),)
# Of what others hand in.
OF_GIVEN: Columns = (
    *OF_MOTIONS,
    (("SLRTP DTW-MJE", ""), ("SLRTP wrist path", ""), ("SLRTP length", "")),
    (("nDTWp", "hand"), ("DTWp", "hand"), ("DTWp untrimmed", "hand")),
    (("chrF", ""), ("ROUGE-L", ""), ("WER", "")),
)
