"""The spoken languages of the synthetic corpora: English, Chinese and German."""
from __future__ import annotations

from soke.data.synthetic.language import SpokenLanguage


def _split(tail: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {category: tuple(words.split()) for category, words in tail.items()}


def _after(first: dict[str, str]) -> dict[str, str]:
    """What stands before words -> words, to word -> the phrase of both."""
    return {word: f"{before} {word}" for before, words in first.items() for word in words.split()}


_ENGLISH_TAIL = {
    "noun": """
        actor artist baker barber boxer boy bride brother builder butcher captain chef clerk clown coach cook cousin
        cyclist dentist diver driver editor engineer father fisher gardener girl golfer grandfather guard guest guide
        hunter judge juggler king lawyer librarian mayor mechanic miner mother neighbour nurse officer painter plumber
        poet porter postman potter priest prince queen ranger referee reporter sailor scientist shepherd singer sister
        soldier surgeon swimmer tailor tenant tourist trainer uncle witch writer bear camel fox horse monkey goat
        pilot rabbit
    """,
    "obj": """
        ball bell belt bicycle blanket bottle bowl box bracelet brush bucket button cake camera candle carpet carrot
        chair cheese clock coat coin comb computer cup curtain desk dish doll drum egg envelope flag flower flute fork
        glass glove guitar hammer hat helmet jacket jar kettle kite knife ladder lamp lemon lock magazine map medal
        melon mirror mug needle newspaper notebook onion orange oven pan peach pear pen pencil piano picture pillow
        pipe plate pot potato puzzle radio ribbon ring robot rope ruler salad sandwich scarf shirt shoe shovel key
        umbrella
    """,
    "place": """
        bakery bank barn basement bathroom beach bedroom bridge cabin campus canyon castle cave cellar church cinema
        clinic cottage courtyard desert factory farm field forest fortress gallery garage gym hall harbour hotel house
        island jungle laboratory lake library lobby market meadow monastery mountain museum office orchard palace park
        pharmacy port prison quarry restaurant river square stable stadium street studio suburb supermarket temple
        theatre tower town tunnel valley village airport
    """,
}
ENGLISH = SpokenLanguage(
    language="ASL",
    words={
        "noun": ("dog", "cat", "teacher", "doctor", "child", "farmer", "bird"),
        "adj": ("happy", "tired", "small", "hungry"),
        "obj": ("apple", "book", "letter", "bread"),
        "iverb": ("sleeps", "works", "dances", "waits"),
        "tverb": ("buys", "finds", "wants", "carries"),
        "place": ("garden", "school", "city", "kitchen"),
        "time": ("today", "tomorrow", "tonight", "again"),
    },
    tail=_split(_ENGLISH_TAIL),
    templates=(
        "the {noun} {iverb} in the {place} {time}",
        "in the {place} the {noun} {iverb} {time}",
        "the {adj} {noun} {tverb} the {obj} {time}",
        "the {noun} {tverb} the {obj} in the {place}",
        "the {noun} in the {place} is {adj} {time}",
        "the {adj} {noun} {iverb} in the {place}",
        "the {noun} {tverb} the {obj} {time}",
    ),
    clauses=(
        "time place noun iverb ?",
        "time place | noun iverb",
        "time obj noun adj tverb",
        "place obj noun tverb",
        "time place noun | adj",
        "place noun adj iverb",
        "time obj noun tverb ?",
    ),
    sign_order=("time", "place", "obj", "noun", "adj", "iverb", "tverb"),
    variants=("teacher", "garden", "today"),
    face_pairs=(("happy", "tired"), ("buys", "finds")),
    negative=("waits", "wants"),
)

_CHINESE_TAIL = {
    "noun": """
        演员 画家 厨师 裁缝 船长 队长 歌手 教练 记者 警察 军人 律师 法官 牧师 诗人 作家 编辑 导游
        游客 邻居 房客 老板 店员 经理 秘书 工人 农民 渔民 猎人 矿工 木匠 铁匠 牙医 水手 士兵 将军
        国王 王后 王子 公主 爸爸 哥哥 弟弟 姐姐 妹妹 爷爷 奶奶 叔叔 阿姨 舅舅 表哥 新娘 新郎 客人
        主人 校长 同学 同事 选手 裁判 球员 骑手 小丑 魔术师 科学家 工程师 小猫 小鸟 猴子 兔子 狐狸
        老虎 狮子 大象 骆驼 熊猫 松鼠 司机 护士
    """,
    "obj": """
        雨衣 帽子 手套 围巾 外套 衬衫 裙子 裤子 袜子 鞋子 皮带 戒指 手表 眼镜 镜子 梳子 牙刷 毛巾
        肥皂 枕头 被子 床单 地毯 窗帘 台灯 蜡烛 椅子 桌子 沙发 书包 铅笔 钢笔 橡皮 尺子 本子 信封
        邮票 报纸 杂志 地图 照片 相机 电脑 手机 收音机 电视 冰箱 烤箱 水壶 杯子 盘子 勺子 叉子 刀子
        瓶子 盒子 篮子 袋子 绳子 梯子 锤子 钉子 剪刀 风筝 足球 篮球 吉他 钢琴 笛子 玩具 积木 拼图
        鲜花 香蕉 葡萄 西瓜 柠檬 橙子 桃子 土豆 番茄 洋葱 胡萝卜 鸡蛋 奶酪 蛋糕 饼干 糖果 茶叶 咖啡
        钥匙 雨伞
    """,
    "place": """
        银行 邮局 书店 药店 饭店 酒店 餐厅 厨房 卧室 浴室 客厅 阳台 地下室 车库 教室 操场 体育馆
        图书馆 博物馆 美术馆 电影院 剧院 教堂 寺庙 宫殿 城堡 广场 市场 超市 工厂 农场 果园 花园 森林
        草原 沙漠 山谷 山洞 河边 湖边 海边 海滩 港口 码头 小岛 车站 地铁站 隧道 监狱 法院 消防局
        办公室 会议室 实验室 诊所 宿舍 旅馆 酒吧 茶馆 动物园 植物园 游乐园 体育场 健身房 游泳馆 村庄
        小镇 机场
    """,
}
CHINESE = SpokenLanguage(
    language="CSL",
    words={
        "noun": ("老师", "学生", "医生", "妈妈", "孩子", "朋友", "小狗"),
        "adj": ("高兴", "疲倦", "忙碌", "健康"),
        "obj": ("苹果", "词典", "牛奶", "面包"),
        "iverb": ("睡觉", "休息", "工作", "跳舞"),
        "tverb": ("购买", "寻找", "喜欢", "需要"),
        "place": ("学校", "公园", "商店", "医院"),
        "time": ("今天", "明天", "早上", "晚上"),
    },
    tail=_split(_CHINESE_TAIL),
    templates=(
        "{time}{noun}在{place}{iverb}。",
        "{noun}{time}在{place}{iverb}。",
        "{time}{adj}的{noun}{tverb}{obj}。",
        "{noun}在{place}{tverb}{obj}。",
        "{place}的{noun}{time}很{adj}。",
        "{adj}的{noun}在{place}{iverb}。",
        "{noun}{time}{tverb}{obj}。",
    ),
    clauses=(
        "noun place iverb time",
        "noun | place iverb time",
        "noun adj obj tverb time",
        "noun place obj tverb ?",
        "noun | adj place time",
        "noun adj place iverb",
        "noun obj tverb time ?",
    ),
    sign_order=("noun", "adj", "place", "obj", "iverb", "tverb", "time"),
    variants=("老师", "公园", "今天"),
    face_pairs=(("高兴", "疲倦"), ("购买", "寻找")),
    negative=("休息", "需要"),
)

_GERMAN_TAIL_NOUNS = _after({
    "der": """
        sturm orkan tornado dunst sprühregen schauer platzregen starkregen landregen eisregen graupel neuschnee
        pulverschnee schneesturm schneeregen raureif tau hochnebel bodennebel morgennebel seewind nordwind ostwind
        südwind westwind bergwind sommer herbst winter frühling vollmond himmel monsun passat taifun hurrikan donner
        blitz regenbogen wirbelsturm föhn
    """,
    "die": """
        bewölkung warmluft meeresluft polarluft tropenluft hitze hitzewelle kältewelle trockenheit dürre schwüle
        feuchte brise strömung störung kaltfront warmfront wetterlage dämmerung sturmflut flut lawine schneedecke
        wetterwende
    """,
    "das": """
        hoch tief azorenhoch islandtief sturmtief unwetter regenwetter aprilwetter hochwasser niedrigwasser polarlicht
        wetterleuchten frostwetter tauwetter
    """,
})
_GERMAN_TAIL_PLACES = _after({
    "im": """
        westen osten schwarzwald harz allgäu erzgebirge sauerland emsland münsterland rheinland ruhrgebiet vogtland
        odenwald spessart hunsrück taunus westerwald weserbergland spreewald havelland wendland breisgau kraichgau
        hegau fichtelgebirge frankenwald steigerwald bergland flachland tiefland hochgebirge mittelgebirge binnenland
        gebirge saarland
    """,
    "in": """
        bayern hessen sachsen thüringen brandenburg berlin hamburg bremen köln dresden leipzig münchen stuttgart
        nürnberg freiburg kiel rostock schwaben franken westfalen holstein vorpommern mecklenburg ostfriesland
        nordfriesland österreich tirol polen dänemark
    """,
    "an der": "nordsee ostsee elbe donau mosel weser spree",
    "in der": "eifel pfalz lausitz heide rhön altmark uckermark börde",
    "auf": "rügen sylt",
    "am": "bodensee rhein neckar alpenrand",
})
_GERMAN_TAIL = {
    "noun": " ".join(_GERMAN_TAIL_NOUNS),
    "obj": """
        regentropfen eiszapfen pfützen wellen staub sand laub pollen schatten gewitterwolken regenwolken quellwolken
        schleierwolken schneeflocken schneeberge eisblumen eisschollen sturmböen windstille sonnenschein sonnenstunden
        nieselregen nachtfrost bodenfrost dauerfrost abkühlung erwärmung aufheiterungen auflockerungen niederschläge
        überschwemmungen erdrutsche waldbrände stau verkehrschaos schneechaos sturmschäden glatteis eisglätte
        schneeglätte reifglätte straßenglätte schneematsch schlamm sommerhitze milde frische ruhe spannung regenpausen
        trockenphasen sonnenbrand regengüsse schneewehen nebelfelder wolkenlücken wolkenfelder dunstschleier
        temperatursturz druckanstieg druckabfall rückenwind gegenwind seitenwind hochdruck tiefdruck blütenstaub
        saharastaub wüstensand sommerregen winterluft frühlingsluft kaltluftseen tauwasser schmelzwasser grundwasser
        glätte hagel
    """,
    "place": " ".join(_GERMAN_TAIL_PLACES),
}
_GERMAN_NOUNS = _after({"der": "regen schnee wind nebel", "die": "sonne kaltluft", "das": "gewitter"})
_GERMAN_PLACES = _after({"im": "norden süden", "an der": "küste", "in den": "alpen"})
GERMAN = SpokenLanguage(
    language="DGS",
    words={
        "noun": tuple(_GERMAN_NOUNS),
        "adj": ("stark", "schwach", "kühl", "mäßig"),
        "obj": ("wärme", "kälte", "böen", "frost"),
        "iverb": ("kommt", "bleibt", "verschwindet", "wächst"),
        "tverb": ("bringt", "vertreibt", "verspricht", "verhindert"),
        "place": tuple(_GERMAN_PLACES),
        "time": ("heute", "morgen", "nachts", "später"),
    },
    tail=_split(_GERMAN_TAIL),
    templates=(
        "{time} {iverb} {noun} {place} .",
        "{place} {iverb} {noun} {time} .",
        "{noun} ist {adj} und {tverb} {time} {obj} .",
        "{noun} {tverb} {place} {obj} .",
        "{noun} ist {time} {place} {adj} .",
        "{place} ist {noun} {adj} und {iverb} .",
        "{time} {tverb} {noun} {obj} .",
    ),
    clauses=(
        "time place noun iverb ?",
        "time place | noun iverb",
        "time noun adj / obj tverb",
        "place noun obj tverb",
        "time place noun adj",
        "place | noun adj / iverb",
        "time noun obj tverb ?",
    ),
    sign_order=("time", "place", "noun", "adj", "obj", "iverb", "tverb"),
    variants=("wind", "norden", "heute"),
    face_pairs=(("stark", "schwach"), ("bringt", "vertreibt")),
    negative=("verschwindet", "verhindert"),
    phrases=_GERMAN_NOUNS | _GERMAN_PLACES | _GERMAN_TAIL_NOUNS | _GERMAN_TAIL_PLACES,
    gloss_case="upper",
)

LANGUAGES = (ENGLISH, CHINESE, GERMAN)
