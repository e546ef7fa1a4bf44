"""Made-up Chinese customers: accounts of a shop, and how the same people appear on a channel. A seed in, records out.

The accuracy tests and `matching.py` draw a seed each time. The two sides have no identifier in common by construction:
numbers are masked to their tails on one side, mailboxes differ. Nobody in it is real, so figures made with it compare
methods and say nothing about a real base.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

import opencc
import pypinyin


def _words(text: str) -> list[str]:
    return text.split()


SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪"
    "廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙史黎贺陶顾毛郝龚邵万覃武钱戴严莫孔单仇解查"
)
HOMOPHONES = _words(
    "伟玮炜维薇 明铭鸣茗 华骅桦 芳方舫 娟涓捐 静靖婧敬 丽莉俐立力 强 磊蕾雷 洋阳扬杨 艳燕彦雁 勇永泳咏 军君俊钧珺 杰洁捷 "
    "涛韬 超 霞 平萍苹 刚钢 桂贵 英颖莹盈 玉宇雨羽煜钰 建健剑 文雯 辉晖慧惠卉 鑫欣新馨昕 晨辰宸 浩皓昊 思斯 子梓紫 涵晗寒 "
    "轩萱宣 佳嘉家 怡仪宜 梦孟 琪琦奇 睿瑞锐 博 一依伊 诗 若 雪 晓小筱 国 志智芷 海 红宏虹洪鸿 云芸 春 兰岚 凤 金 林琳霖 飞菲 "
    "波 斌彬 亮 龙 胜圣盛 学 成诚程 东冬 天 安 然 月悦岳 宁 可 心 倩 敏 秀 珍贞 峰锋枫 旭 凯 婷 宗 民 生 江 山 清青 光 美 巧 淑 德 仁"
)
CITIES = {
    "北京": "朝阳 海淀 东城 丰台", "上海": "浦东新 徐汇 静安 闵行", "广州": "天河 越秀 白云 海珠", "深圳": "南山 福田 宝安 龙岗",
    "杭州": "西湖 滨江 余杭 拱墅", "成都": "武侯 锦江 青羊 高新", "武汉": "洪山 江汉 武昌 汉阳", "南京": "鼓楼 玄武 建邺 秦淮",
    "西安": "雁塔 碑林 未央 莲湖", "重庆": "渝北 江北 南岸 沙坪坝", "苏州": "姑苏 吴中 相城 虎丘", "长沙": "岳麓 芙蓉 天心 雨花",
    "青岛": "市南 崂山 李沧 黄岛", "郑州": "金水 二七 中原 管城", "厦门": "思明 湖里 集美 海沧", "昆明": "五华 盘龙 官渡 西山",
}  # fmt: skip
PROVINCES = {
    "杭州": "浙江省",
    "成都": "四川省",
    "武汉": "湖北省",
    "南京": "江苏省",
    "苏州": "江苏省",
    "长沙": "湖南省",
}
ROADS = _words(
    "人民路 解放路 中山路 建设路 文三路 学院路 科技路 和平路 新华路 滨河路 迎宾路 长江路 黄河路 青年路 胜利路 光明路 友谊路 府前街 北大街 "
    "南大街 东风路 西湖路 花园路 体育路 商业街 站前路 龙湖路 金鸡路 桃园路 梅林路 兴业路 世纪大道 天府大道 江南大道 珠江路 太平路 幸福路 复兴路"
)
MAILS = ("qq.com", "163.com", "126.com", "gmail.com", "outlook.com", "sina.com", "foxmail.com")
STRANGERS = 0.2


@dataclass(frozen=True, slots=True)
class Seen:
    """`person` is the account's number, or -1 for a stranger."""

    person: int
    attributes: dict[str, str]


def accounts(count: int, seed: int) -> list[Seen]:
    chance = random.Random(seed)
    return [Seen(number, _account(chance)) for number in range(count)]


def sightings(base: list[Seen], count: int, seed: int) -> list[Seen]:
    """Records of a channel: four in five are somebody of the base, each at most once where `count` allows it."""
    chance = random.Random(seed + 7919)
    known = chance.sample(base, min(len(base), round(count * (1 - STRANGERS))))
    found = [Seen(one.person, _sighting(one.attributes, chance)) for one in known]
    found += [Seen(-1, _sighting(_account(chance), chance)) for _ in range(count - len(found))]
    chance.shuffle(found)
    return found


def _account(chance: random.Random) -> dict[str, str]:
    name = _name(chance)
    tail = f"{chance.randrange(10_000):04d}"
    return {
        "name": name,
        "phone": f"{chance.choice((138, 139, 150, 158, 186, 188, 199))}****{tail}",
        "email": f"{_mailbox(name, chance)}@{chance.choice(MAILS)}",
        "address": _address(chance),
        "device": f"d-{chance.randrange(10**9):09d}",
        "ip": _ip(chance),
    }


def _sighting(person: dict[str, str], chance: random.Random) -> dict[str, str]:
    """With less than two things besides a name nobody could tell, so such records are drawn again."""
    seen = _glimpse(person, chance)
    while len(seen.keys() - {"name"}) < 2:
        seen = _glimpse(person, chance)
    return seen


def _glimpse(person: dict[str, str], chance: random.Random) -> dict[str, str]:
    seen = {}
    if chance.random() < 0.95:
        seen["name"] = _called(person["name"], chance)
    if chance.random() < 0.8:
        moved = chance.random() < 0.12
        seen["phone"] = f"尾号****{chance.randrange(10_000):04d}"[2:] if moved else person["phone"][3:]
    if chance.random() < 0.5:
        seen["email"] = _other_mailbox(person["email"], chance)
    if chance.random() < 0.7:
        moved = chance.random() < 0.15
        seen["address"] = _address(chance) if moved else _written_otherwise(person["address"], chance)
    if chance.random() < 0.3:
        same = chance.random() < 0.5
        seen["device"] = person["device"] if same else f"d-{chance.randrange(10**9):09d}"
    if chance.random() < 0.7:
        seen["ip"] = _near(person["ip"], chance) if chance.random() < 0.5 else _ip(chance)
    return seen


def _name(chance: random.Random) -> str:
    """As names are spread: few surnames and given names are borne by many."""
    surname = SURNAMES[min(int(chance.expovariate(1 / 18)), len(SURNAMES) - 1)]
    given = "".join(chance.choice(_ranked(chance)) for _ in range(1 if chance.random() < 0.25 else 2))
    return surname + given


def _ranked(chance: random.Random) -> str:
    return HOMOPHONES[min(int(chance.expovariate(1 / 30)), len(HOMOPHONES) - 1)]


def _called(name: str, chance: random.Random) -> str:
    given = name[1:]
    draw = chance.random()
    if draw < 0.38:
        return name
    if draw < 0.52:
        return name[0] + _misheard(given, chance)
    if draw < 0.6:
        return str(_converter().convert(name))
    if draw < 0.76:
        return _romanised(name, chance)
    if draw < 0.86:
        return name[0] + chance.choice(("先生", "女士", "小姐", "老师"))
    if draw < 0.9:
        return f"小{name[0]}"
    return chance.choice(("小", "阿")) + given[-1] if chance.random() < 0.7 else given[-1] * 2


def _misheard(given: str, chance: random.Random) -> str:
    place = chance.randrange(len(given))
    group = next((group for group in HOMOPHONES if given[place] in group), given[place])
    other = chance.choice([sign for sign in group if sign != given[place]] or [given[place]])
    return given[:place] + other + given[place + 1 :]


_READ = {"曾": "zeng", "单": "shan", "仇": "qiu", "解": "xie", "查": "zha", "覃": "qin", "吕": "lyu"}


def _romanised(name: str, chance: random.Random) -> str:
    surname = (_READ.get(name[0]) or pypinyin.lazy_pinyin(name[0])[0]).capitalize()
    given = "".join(pypinyin.lazy_pinyin(list(name[1:]))).replace("v", "yu").capitalize()
    return f"{surname} {given}" if chance.random() < 0.5 else f"{given} {surname}"


def _mailbox(name: str, chance: random.Random) -> str:
    letters = "".join(pypinyin.lazy_pinyin(list(name)))
    if chance.random() < 0.4:
        letters = "".join(pypinyin.lazy_pinyin(list(name[1:]))) + letters[:1]
    return f"{letters}{chance.randrange(10_000)}"


def _other_mailbox(email: str, chance: random.Random) -> str:
    """Never the same: an equal address would be an exact link."""
    local, _, domain = email.partition("@")
    if chance.random() < 0.35:
        return f"u{chance.randrange(10**8)}@{chance.choice(MAILS)}"
    if chance.random() < 0.3:
        local += str(chance.randrange(10))
    return f"{local}@{chance.choice([one for one in MAILS if one != domain])}"


def _address(chance: random.Random) -> str:
    city = chance.choice(list(CITIES))
    district = chance.choice(CITIES[city].split())
    return (
        f"{PROVINCES.get(city, '')}{city}市{district}区{chance.choice(ROADS)}{chance.randrange(1, 400)}号"
        f"{chance.randrange(1, 30)}栋{chance.randrange(1, 25)}{chance.randrange(1, 5):02d}室"
    )


def _written_otherwise(address: str, chance: random.Random) -> str:
    if chance.random() < 0.4:
        address = address.split("省", 1)[-1]
    if chance.random() < 0.3:
        address = address.split("市", 1)[-1]
    if chance.random() < 0.25:
        address = address.split("栋", 1)[0].rpartition("号")[0] + "号"
    if chance.random() < 0.2:
        address = address.replace("号", "號").replace("区", "區")
    return address


def _ip(chance: random.Random) -> str:
    return f"{chance.choice((36, 58, 101, 113, 121, 183, 218, 223))}.{chance.randrange(1, 250)}.{chance.randrange(1, 250)}.{chance.randrange(1, 250)}"


def _near(ip: str, chance: random.Random) -> str:
    return f"{ip.rpartition('.')[0]}.{chance.randrange(1, 250)}"


@cache
def _converter() -> opencc.OpenCC:
    return opencc.OpenCC("s2t")
