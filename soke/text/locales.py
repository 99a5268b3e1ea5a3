"""Languages of the texts that go with sign languages."""

from __future__ import annotations

# Sign language -> locale of the text that is translated into it, as mBART names it: SOKE's three, then Prompt2Sign's.
TEXT_LOCALE = {
    "ASL": "en_XX", "CSL": "zh_CN", "DGS": "de_DE",
    "DSGS": "de_DE", "LSF-CH": "fr_XX", "LIS-CH": "it_IT", "LSA": "es_XX", "KSL": "ko_KR", "TSL": "tr_TR",
}
