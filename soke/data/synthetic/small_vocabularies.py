"""The spoken languages that only the corpora of joint positions have: French, Italian, Spanish, Korean and Turkish.

Glosses are the words as a dictionary has them; `phrases` says how they stand in a sentence. Adjectives are those that
do not change with the noun's gender.
"""
from __future__ import annotations

from soke.data.synthetic.language import SpokenLanguage

_FRENCH_PHRASES = {
    "médecin": "le médecin", "maîtresse": "la maîtresse", "enfant": "l'enfant", "ami": "l'ami", "chien": "le chien",
    "chat": "le chat", "voisine": "la voisine", "facteur": "le facteur", "boulangère": "la boulangère",
    "pomme": "la pomme", "livre": "le livre", "lettre": "la lettre", "pain": "le pain", "clé": "la clé",
    "gâteau": "le gâteau",
    "dormir": "dort", "travailler": "travaille", "danser": "danse", "attendre": "attend",
    "acheter": "achète", "trouver": "trouve", "vouloir": "veut", "porter": "porte",
    "jardin": "dans le jardin", "école": "à l'école", "ville": "en ville", "cuisine": "dans la cuisine",
    "gare": "à la gare", "forêt": "dans la forêt",
    "matin": "le matin", "soir": "ce soir",
}
FRENCH = SpokenLanguage(
    language="LSF-CH",
    words={
        "noun": ("médecin", "maîtresse", "enfant", "ami", "chien", "chat", "voisine", "facteur", "boulangère"),
        "adj": ("calme", "triste", "malade", "timide"),
        "obj": ("pomme", "livre", "lettre", "pain", "clé", "gâteau"),
        "iverb": ("dormir", "travailler", "danser", "attendre"),
        "tverb": ("acheter", "trouver", "vouloir", "porter"),
        "place": ("jardin", "école", "ville", "cuisine", "gare", "forêt"),
        "time": ("aujourd'hui", "matin", "soir", "maintenant"),
    },
    templates=(
        "{noun} {iverb} {place} {time}.",
        "{time}, {noun} {iverb} {place}.",
        "{time}, {noun} {adj} {tverb} {obj}.",
        "{noun} {tverb} {obj} {place}.",
        "{place}, {noun} est {adj} {time}.",
        "{noun} {adj} {iverb} {place}.",
        "{noun} {tverb} {obj} {time}.",
    ),
    sign_order=("time", "place", "noun", "adj", "obj", "iverb", "tverb"),
    variants=("école",),
    phrases=_FRENCH_PHRASES,
    capital=True,
)

_ITALIAN_PHRASES = {
    "dottore": "il dottore", "maestra": "la maestra", "bambino": "il bambino", "amica": "l'amica", "cane": "il cane",
    "gatto": "il gatto", "zio": "lo zio", "postino": "il postino", "nonna": "la nonna",
    "mela": "la mela", "libro": "il libro", "lettera": "la lettera", "pane": "il pane", "chiave": "la chiave",
    "torta": "la torta",
    "dormire": "dorme", "lavorare": "lavora", "ballare": "balla", "aspettare": "aspetta",
    "comprare": "compra", "trovare": "trova", "volere": "vuole", "portare": "porta",
    "giardino": "in giardino", "scuola": "a scuola", "città": "in città", "cucina": "in cucina",
    "stazione": "alla stazione", "bosco": "nel bosco",
    "mattina": "di mattina",
}
ITALIAN = SpokenLanguage(
    language="LIS-CH",
    words={
        "noun": ("dottore", "maestra", "bambino", "amica", "cane", "gatto", "zio", "postino", "nonna"),
        "adj": ("felice", "triste", "gentile", "giovane"),
        "obj": ("mela", "libro", "lettera", "pane", "chiave", "torta"),
        "iverb": ("dormire", "lavorare", "ballare", "aspettare"),
        "tverb": ("comprare", "trovare", "volere", "portare"),
        "place": ("giardino", "scuola", "città", "cucina", "stazione", "bosco"),
        "time": ("oggi", "mattina", "stasera", "adesso"),
    },
    templates=(
        "{noun} {iverb} {place} {time}.",
        "{time} {noun} {iverb} {place}.",
        "{time} {noun} {adj} {tverb} {obj}.",
        "{noun} {tverb} {obj} {place}.",
        "{place} {noun} è {adj} {time}.",
        "{noun} {adj} {iverb} {place}.",
        "{noun} {tverb} {obj} {time}.",
    ),
    sign_order=("place", "time", "noun", "adj", "obj", "iverb", "tverb"),
    variants=("scuola",),
    phrases=_ITALIAN_PHRASES,
    capital=True,
)

_SPANISH_PHRASES = {
    "médico": "el médico", "maestra": "la maestra", "chico": "el chico", "amiga": "la amiga", "perro": "el perro",
    "gato": "el gato", "tía": "la tía", "cartero": "el cartero", "abuela": "la abuela",
    "manzana": "la manzana", "libro": "el libro", "carta": "la carta", "pan": "el pan", "llave": "la llave",
    "torta": "la torta",
    "dormir": "duerme", "trabajar": "trabaja", "bailar": "baila", "esperar": "espera",
    "comprar": "compra", "encontrar": "encuentra", "querer": "quiere", "llevar": "lleva",
    "jardín": "en el jardín", "escuela": "en la escuela", "ciudad": "en la ciudad", "cocina": "en la cocina",
    "estación": "en la estación", "bosque": "en el bosque",
    "mañana": "a la mañana", "noche": "esta noche",
}
SPANISH = SpokenLanguage(
    language="LSA",
    words={
        "noun": ("médico", "maestra", "chico", "amiga", "perro", "gato", "tía", "cartero", "abuela"),
        "adj": ("feliz", "triste", "impaciente", "sonriente"),
        "obj": ("manzana", "libro", "carta", "pan", "llave", "torta"),
        "iverb": ("dormir", "trabajar", "bailar", "esperar"),
        "tverb": ("comprar", "encontrar", "querer", "llevar"),
        "place": ("jardín", "escuela", "ciudad", "cocina", "estación", "bosque"),
        "time": ("hoy", "mañana", "noche", "ahora"),
    },
    templates=(
        "{noun} {iverb} {place} {time}.",
        "{time} {noun} {iverb} {place}.",
        "{time} {noun} {adj} {tverb} {obj}.",
        "{noun} {tverb} {obj} {place}.",
        "{place} {noun} está {adj} {time}.",
        "{noun} {adj} {iverb} {place}.",
        "{noun} {tverb} {obj} {time}.",
    ),
    sign_order=("time", "place", "obj", "noun", "adj", "iverb", "tverb"),
    variants=("escuela",),
    phrases=_SPANISH_PHRASES,
    capital=True,
)


def with_particle(word: str, after_consonant: str, after_vowel: str) -> str:
    """A Korean word with a particle of which there are two forms: `with_particle("책", "을", "를")` is 책을."""
    final = (ord(word[-1]) - ord("가")) % 28  # of the last syllable; 0: it has no final consonant
    return word + (after_consonant if final else after_vowel)


_KOREAN_NOUNS = ("선생님", "의사", "아이", "친구", "강아지", "고양이", "농부", "집배원", "할머니")
_KOREAN_OBJECTS = ("사과", "책", "편지", "빵", "열쇠", "케이크")
_KOREAN_PLACES = ("정원", "학교", "도시", "부엌", "시장", "숲")
KOREAN = SpokenLanguage(
    language="KSL",
    words={
        "noun": _KOREAN_NOUNS,
        "adj": ("행복하다", "슬프다", "배고프다", "피곤하다"),
        "obj": _KOREAN_OBJECTS,
        "iverb": ("자다", "일하다", "춤추다", "기다리다"),
        "tverb": ("사다", "찾다", "보다", "나르다"),
        "place": _KOREAN_PLACES,
        "time": ("오늘", "아침", "지금", "저녁"),
    },
    templates=(
        "{noun} {time} {place} {iverb}.",
        "{time} {noun} {place} {iverb}.",
        "{time} {adj} {noun} {obj} {tverb}.",
        "{noun} {place} {obj} {tverb}.",
        "{adj} {noun} {time} {obj} {tverb}.",
        "{adj} {noun} {place} {iverb}.",
        "{noun} {time} {obj} {tverb}.",
    ),
    sign_order=("time", "noun", "adj", "place", "obj", "iverb", "tverb"),
    variants=("학교",),
    phrases={
        **{noun: with_particle(noun, "이", "가") for noun in _KOREAN_NOUNS},
        **{thing: with_particle(thing, "을", "를") for thing in _KOREAN_OBJECTS},
        **{place: place + "에서" for place in _KOREAN_PLACES},
        "행복하다": "행복한", "슬프다": "슬픈", "배고프다": "배고픈", "피곤하다": "피곤한",
        "자다": "자요", "일하다": "일해요", "춤추다": "춤춰요", "기다리다": "기다려요",
        "사다": "사요", "찾다": "찾아요", "보다": "봐요", "나르다": "날라요",
        "아침": "아침에", "저녁": "저녁에",
    },
)

TURKISH = SpokenLanguage(
    language="TSL",
    words={
        "noun": ("öğretmen", "doktor", "çocuk", "arkadaş", "köpek", "kedi", "çiftçi", "postacı", "hemşire"),
        "adj": ("mutlu", "üzgün", "yorgun", "sakin"),
        "obj": ("elma", "kitap", "mektup", "ekmek", "anahtar", "pasta"),
        "iverb": ("uyumak", "çalışmak", "gülmek", "beklemek"),
        "tverb": ("almak", "bulmak", "istemek", "taşımak"),
        "place": ("bahçe", "okul", "şehir", "mutfak", "istasyon", "orman"),
        "time": ("bugün", "sabah", "akşam", "şimdi"),
    },
    templates=(
        "{noun} {time} {place} {iverb}.",
        "{time} {noun} {place} {iverb}.",
        "{time} {adj} {noun} {obj} {tverb}.",
        "{noun} {place} {obj} {tverb}.",
        "{noun} {time} {place} {adj}.",
        "{adj} {noun} {place} {iverb}.",
        "{noun} {time} {obj} {tverb}.",
    ),
    sign_order=("time", "place", "adj", "noun", "obj", "iverb", "tverb"),
    variants=("okul",),
    phrases={
        "elma": "elmayı", "kitap": "kitabı", "mektup": "mektubu", "ekmek": "ekmeği", "anahtar": "anahtarı",
        "pasta": "pastayı",
        "uyumak": "uyuyor", "çalışmak": "çalışıyor", "gülmek": "gülüyor", "beklemek": "bekliyor",
        "almak": "alıyor", "bulmak": "buluyor", "istemek": "istiyor", "taşımak": "taşıyor",
        "bahçe": "bahçede", "okul": "okulda", "şehir": "şehirde", "mutfak": "mutfakta", "istasyon": "istasyonda",
        "orman": "ormanda",
    },
    capital=True,
)
