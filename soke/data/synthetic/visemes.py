"""Mouth shapes of the synthetic signers, and how each language's spelling gives those of a word."""
from __future__ import annotations

from dataclasses import dataclass

_LONGEST = 5  # shapes that a mouthing keeps: a sign is too short for more


@dataclass(frozen=True)
class Viseme:
    """A mouth shape: strengths of facial actions (a name without its side means both) and the jaw's opening, rad.

    salience: the shapes that are seen least are dropped first from long words
    seconds:  relative duration
    """

    actions: dict[str, float]
    jaw: float
    salience: int
    seconds: float


VISEMES: dict[str, Viseme] = {
    "pbm": Viseme({"mouthPress": 0.35, "mouthRollLower": 0.6, "mouthRollUpper": 0.6}, 0.0, 8, 0.9),
    "fv": Viseme({"mouthRollLower": 0.9, "mouthUpperUp": 0.6}, 0.03, 8, 0.9),
    "sh": Viseme({"mouthFunnel": 0.6, "mouthShrugUpper": 0.7, "mouthLowerDown": 0.4}, 0.03, 7, 0.9),
    "th": Viseme({"mouthUpperUp": 0.4, "mouthShrugLower": 0.6}, 0.07, 4, 0.8),
    "sz": Viseme({"mouthStretch": 0.7, "mouthLowerDown": 0.6, "mouthUpperUp": 0.4}, 0.0, 3, 0.8),
    "td": Viseme({"mouthLowerDown": 0.45, "mouthShrugUpper": 0.25}, 0.04, 1, 0.6),
    "kg": Viseme({"mouthLowerDown": 0.25, "mouthDimple": 0.2}, 0.11, 0, 0.6),
    "r": Viseme({"mouthPucker": 0.45, "mouthShrugUpper": 0.45, "mouthLowerDown": 0.3}, 0.04, 2, 0.7),
    "a": Viseme({"mouthLowerDown": 0.5, "mouthUpperUp": 0.35}, 0.27, 5, 1.2),
    "e": Viseme({"mouthStretch": 0.5, "mouthDimple": 0.5, "mouthUpperUp": 0.3}, 0.13, 3, 1.1),
    "i": Viseme({"mouthSmile": 0.65, "mouthLowerDown": 0.4, "mouthUpperUp": 0.3}, 0.04, 5, 1.1),
    "o": Viseme({"mouthFunnel": 0.7, "mouthPucker": 0.2}, 0.17, 6, 1.2),
    "u": Viseme({"mouthPucker": 0.95, "mouthFunnel": 0.25}, 0.03, 7, 1.2),
    "ü": Viseme({"mouthPucker": 0.75, "mouthShrugLower": 0.7, "mouthRollUpper": 0.3}, 0.0, 6, 1.2),
    "ö": Viseme({"mouthPucker": 0.5, "mouthFunnel": 0.35, "mouthUpperUp": 0.5}, 0.10, 6, 1.2),
}

_CONSONANTS = {
    **dict.fromkeys("pbm", "pbm"), **dict.fromkeys("fv", "fv"), **dict.fromkeys("tdnl", "td"),
    **dict.fromkeys("szcx", "sz"), **dict.fromkeys("kghq", "kg"), "r": "r", "j": "sh",
}
_VOWELS = {letter: letter for letter in "aeiou"}
# Sign language -> letters of its spoken language -> mouth shapes, the longest letters first; "" is not seen.
_ENGLISH = {
    **_CONSONANTS, **_VOWELS, "w": "u", "y": "i", "h": "", "tch": "sh", "sh": "sh", "ch": "sh", "ph": "fv", "th": "th",
    "gh": "", "ck": "kg", "qu": "kg u", "oo": "u", "ee": "i", "ea": "i", "ai": "e i", "ay": "e i", "oa": "o u",
    "ow": "a u", "ou": "a u", "oi": "o i", "oy": "o i", "ew": "u",
}
_GERMAN = {
    **_CONSONANTS, **_VOWELS, "w": "fv", "j": "i", "y": "ü", "r": "kg", "ß": "sz", "ä": "e", "ö": "ö", "ü": "ü",
    "sch": "sh", "ch": "kg", "ck": "kg", "ie": "i", "ei": "a i", "ai": "a i", "eu": "o ü", "äu": "o ü", "au": "a u",
    "ph": "fv", "qu": "kg fv", "ah": "a", "eh": "e", "ih": "i", "oh": "o", "uh": "u", "üh": "ü", "öh": "ö", "äh": "e",
}
_PINYIN = {
    **_CONSONANTS, **_VOWELS, "w": "u", "y": "i", "ü": "ü", "r": "sh", "zh": "sh", "ch": "sh", "sh": "sh", "j": "sz",
    "q": "sz", "x": "sz", "ng": "kg", "yu": "ü", "yi": "i", "wu": "u", "iu": "i o u", "ju": "sz ü", "qu": "sz ü",
    "xu": "sz ü", "zhi": "sh", "chi": "sh", "shi": "sh", "zi": "sz", "ci": "sz", "si": "sz", "iao": "i a o",
}
_SPELLINGS = {"ASL": _ENGLISH, "CSL": _PINYIN, "DGS": _GERMAN}

# Mandarin syllable -> characters of the synthetic vocabulary that are read so.
_SYLLABLES = """
    a阿 ba爸吧 ban板办 bao包堡报 bei杯被 ben本 bi笔 bian边编 biao表 bing冰兵饼 bo博卜 cai裁 can餐 cao操草 cha叉茶察
    chang场厂 chao超 che车 chen衬 cheng城橙程 chi尺 chou丑 chu厨 chuan船 chuang床窗 chui锤 ci词 cong葱 cun村 da大
    dai带袋 dan单蛋 dao刀导岛道 deng灯 di地弟笛 dian典店殿电 ding钉 dong洞动 dou豆 dui队 fa发法 fan番饭 fang房防
    fei啡肥 feng封缝风 gan干 gang港钢 gao高糕 ge哥歌 gong工公宫 gou狗购 gu谷 gua瓜 guan馆官 guang广 guo果国
    hai孩海 hang行 he河盒 hou猴后 hu护壶湖狐虎胡 hua画花 huan欢 hui会 ji机吉积辑记鸡 jia家 jian健剪监 jiang将匠
    jiao觉教蕉 jie姐戒 jin今巾 jing镜经警 jiu舅酒 ju剧具局居 juan倦 jun军 ka咖 kang康 kao烤 ke客科 kou口 ku裤库
    kuang矿 la蜡 lan篮 lang郎 lao老酪 le乐 li狸理 lian练帘 lie猎 lin林邻 lu碌 luo骆萝 lü律旅 ma妈码 mai买 mang忙
    mao猫帽毛 mei妹美 meng檬 mi秘 mian面 miao庙 min民 ming明 mo漠魔 mu木牧 nai奶 nao脑 niang娘 niao鸟 ning柠 niu牛
    nong农 pan盘判 peng朋 pi疲皮 pian片 piao票 pin拼 ping苹瓶 pu葡 qi骑 qian铅 qie茄 qin琴 qiu球 qun裙 ren人 san伞
    sen森 sha沙 shan山衫 shang商上 shao勺 she舍 shen身 sheng生绳 shi师室事士市狮视诗匙实 shou手收 shu书叔鼠梳术
    shua刷 shui睡水 si司寺 song松 su宿 sui隧 suo所 ta他 tai台 tan毯滩 tang堂糖 tao套桃萄 ti梯体 tian天 tiao跳 tie铁
    ting厅 tong同 tou头 tu兔土图 tuo驼 wa袜 wai外 wan晚玩 wang王 wei围 wo卧 wu舞物 xi息喜西 xia下 xian鲜
    xiang箱象橡相香 xiao小校消 xie鞋 xin信新 xing兴 xiong熊 xiu休 xu需 xuan选 xue学 xun寻 ya牙 yan演眼验 yang洋阳
    yao要药钥 ye爷叶 yi医椅姨衣议 yin银音 ying影 yong泳 you友游邮 yu浴渔狱雨育 yuan园院员原 za杂 zao早皂 zhan站
    zhang长 zhao找照 zhe者 zhen镇枕诊 zheng筝 zhi指纸志植 zhu主烛 zhuang庄 zhuo桌 zi子 zu足 zuo作
"""


def _readings() -> dict[str, str]:
    """Character -> its syllable."""
    readings = {}
    for entry in _SYLLABLES.split():
        syllable = "".join(letter for letter in entry if letter < "一")
        readings |= dict.fromkeys(entry[len(syllable) :], syllable)
    return readings


_READINGS = _readings()


def mouthing(word: str, language: str) -> tuple[str, ...]:
    """The mouth shapes of a word, 1 to 5 names of `VISEMES`. Raises ValueError for letters that the language lacks."""
    shapes = _merged([shape for letters in _letters(word, language) for shape in letters.split()])
    while len(shapes) > _LONGEST:
        # of the least salient ones the last: the beginning of a word is mouthed best
        least = min(range(len(shapes)), key=lambda i: (VISEMES[shapes[i]].salience, -i))
        shapes = _merged(shapes[:least] + shapes[least + 1 :])
    return tuple(shapes)


def _letters(word: str, language: str) -> list[str]:
    """The shapes of each letter, or group of letters, of a word."""
    spelling = _SPELLINGS[language]
    found = []
    for syllable in [_READINGS.get(character, character) for character in word] if language == "CSL" else [word]:
        if language == "ASL" and len(syllable) > 3 and syllable.endswith("e") and not syllable.endswith("ee"):
            syllable = syllable[:-1]  # silent
        at = 0
        while at < len(syllable):
            letters = next((syllable[at : at + n] for n in (3, 2, 1) if syllable[at : at + n] in spelling), None)
            if letters is None:
                raise ValueError(f"no mouth shape is known for {syllable[at]!r} of {word!r}")
            found.append(spelling[letters])
            at += len(letters)
    return found


def _merged(shapes: list[str]) -> list[str]:
    """Without repetitions of neighbours."""
    return [shape for i, shape in enumerate(shapes) if i == 0 or shape != shapes[i - 1]]
