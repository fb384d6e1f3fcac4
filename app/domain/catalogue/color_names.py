"""Which colours the names of options mean: the store's own names first, then those of CSS and of shops."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from app.domain.catalogue.drafts import key_of
from app.kit.colors import parse_rgb

# Options whose values are colours, by their keys.
COLOR_OPTIONS: Final = frozenset(
    {"color", "colour", "colors", "colours", "farbe", "farben", "couleur", "colore", "kleur", "shade"}
)
_JOINT: Final = re.compile(r"[/&+,;|]|\s(?:and|und|et|with|mit|avec)\s", re.IGNORECASE)

# CSS Color Module Level 4.
_CSS: Final = """
aliceblue f0f8ff antiquewhite faebd7 aqua 00ffff aquamarine 7fffd4 azure f0ffff beige f5f5dc
bisque ffe4c4 black 000000 blanchedalmond ffebcd blue 0000ff blueviolet 8a2be2 brown a52a2a
burlywood deb887 cadetblue 5f9ea0 chartreuse 7fff00 chocolate d2691e coral ff7f50 cornflowerblue
6495ed cornsilk fff8dc crimson dc143c cyan 00ffff darkblue 00008b darkcyan 008b8b darkgoldenrod
b8860b darkgray a9a9a9 darkgreen 006400 darkgrey a9a9a9 darkkhaki bdb76b darkmagenta 8b008b
darkolivegreen 556b2f darkorange ff8c00 darkorchid 9932cc darkred 8b0000 darksalmon e9967a
darkseagreen 8fbc8f darkslateblue 483d8b darkslategray 2f4f4f darkslategrey 2f4f4f darkturquoise
00ced1 darkviolet 9400d3 deeppink ff1493 deepskyblue 00bfff dimgray 696969 dimgrey 696969
dodgerblue 1e90ff firebrick b22222 floralwhite fffaf0 forestgreen 228b22 fuchsia ff00ff
gainsboro dcdcdc ghostwhite f8f8ff gold ffd700 goldenrod daa520 gray 808080 green 008000
greenyellow adff2f grey 808080 honeydew f0fff0 hotpink ff69b4 indianred cd5c5c indigo 4b0082
ivory fffff0 khaki f0e68c lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00 lemonchiffon
fffacd lightblue add8e6 lightcoral f08080 lightcyan e0ffff lightgoldenrodyellow fafad2 lightgray
d3d3d3 lightgreen 90ee90 lightgrey d3d3d3 lightpink ffb6c1 lightsalmon ffa07a lightseagreen
20b2aa lightskyblue 87cefa lightslategray 778899 lightslategrey 778899 lightsteelblue b0c4de
lightyellow ffffe0 lime 00ff00 limegreen 32cd32 linen faf0e6 magenta ff00ff maroon 800000
mediumaquamarine 66cdaa mediumblue 0000cd mediumorchid ba55d3 mediumpurple 9370db mediumseagreen
3cb371 mediumslateblue 7b68ee mediumspringgreen 00fa9a mediumturquoise 48d1cc mediumvioletred
c71585 midnightblue 191970 mintcream f5fffa mistyrose ffe4e1 moccasin ffe4b5 navajowhite ffdead
navy 000080 oldlace fdf5e6 olive 808000 olivedrab 6b8e23 orange ffa500 orangered ff4500 orchid
da70d6 palegoldenrod eee8aa palegreen 98fb98 paleturquoise afeeee palevioletred db7093
papayawhip ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd powderblue b0e0e6 purple
800080 rebeccapurple 663399 red ff0000 rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513
salmon fa8072 sandybrown f4a460 seagreen 2e8b57 seashell fff5ee sienna a0522d silver c0c0c0
skyblue 87ceeb slateblue 6a5acd slategray 708090 slategrey 708090 snow fffafa springgreen 00ff7f
steelblue 4682b4 tan d2b48c teal 008080 thistle d8bfd8 tomato ff6347 turquoise 40e0d0 violet
ee82ee wheat f5deb3 white ffffff whitesmoke f5f5f5 yellow ffff00 yellowgreen 9acd32
"""
# What shops call their wares, as seen on them: nobody's standard.
_SHOPS: Final = """
amber ffbf00 anthracite 383e42 apricot fbceb1 aubergine 472c4c avocado 568203 bark 5c4a3d berry
8e1b4f blush de9fa3 bone e3dac9 bordeaux 5f021f bottlegreen 00543c brass b5a642 brick 9c3b2e
bronze cd7f32 burgundy 800020 butter f6e7a1 camel c19a6b caramel b5713a celadon ace1af champagne
f7e7ce charcoal 36454f cherry c1172f chestnut 954535 cinnamon b06a3b clay b66a50 cobalt 0047ab
cocoa 5c3a2e coffee 6f4e37 cognac 9a4f2e concrete 95a5a6 copper b87333 cream fffdd0 denim 3b5b86
duskblue 6d8ca8 dustyrose c08081 ecru c2b280 eggplant 483248 eggshell f0ead6 emerald 2e8b57
espresso 3c2415 fern 4f7942 flax eedc82 forest 228b22 ginger b06500 granite 676767 grape 6f2da8
graphite 41424c heather 9aa0a6 heathergrey b2b6b9 heathergray b2b6b9 honey d9a441 ice d6ecef ink
1b1f3b jade 00a86b jet 343434 kelly 4cbb17 lemon fff44f lilac c8a2c8 marine 12305c maroon 800000
mauve b784a7 melon febaad merlot 73343a midnight 191970 mint 98ff98 mocha 967969 moss 8a9a5b mud
70543e mustard e1ad01 natural e8dcc4 navyblue 000080 nude e3bc9a oat dfd0b5 oatmeal d8cbb3 ocean
1c6ba0 ochre cc7722 offwhite faf9f6 onyx 353839 oxblood 4a0000 paper f5f2e8 peach ffcba4 pearl
eae0c8 petrol 005f6a pine 01796f plum 8e4585 poppy e35335 powder b0e0e6 raspberry e30b5d
rosegold b76e79 ruby 9b111e rust b7410e sage 9caf88 sand d8c3a5 sapphire 0f52ba scarlet ff2400
seafoam 93e9be slate 708090 smoke 848884 spruce 2c4c3b steel 71797e stone a59c8c straw e4d96f
sunflower ffda03 taupe 8b7d6b teal 008080 terracotta c66b4e tobacco 71583a toffee 755139 walnut
5d432c wine 722f37 wood a1785b weiss ffffff schwarz 000000 rot ff0000 blau 0000ff gruen 008000
grun 008000 gelb ffff00 grau 808080 braun a52a2a rosa ffc0cb lila c8a2c8 orange ffa500 beige
f5f5dc tuerkis 40e0d0 turkis 40e0d0 blanc ffffff noir 000000 rouge ff0000 bleu 0000ff vert
008000 jaune ffff00 gris 808080
"""


def _table(words: str) -> dict[str, int]:
    parts = words.split()
    return {name: int(code, 16) for name, code in zip(parts[::2], parts[1::2], strict=True)}


_KNOWN: Final[Mapping[str, int]] = {**_table(_SHOPS), **_table(_CSS)}


def _plain(name: str) -> str:
    return key_of(name).replace("-", "")


def store_colors(named: Mapping[str, str]) -> dict[str, int]:
    """The store's own names for colours, as they are looked up."""
    found = {_plain(name): parse_rgb(code) for name, code in named.items()}
    return {name: rgb for name, rgb in found.items() if rgb is not None}


def _one(name: str, named: Mapping[str, int]) -> int | None:
    """The colour of one name: all its words, else the last ones, since "pine green" is a green."""
    code = name.strip()
    if code.startswith("#"):
        return parse_rgb(code)
    words = key_of(name).split("-")
    for start in range(len(words)):
        word = "".join(words[start:])
        for known in (named, _KNOWN):
            if word in known:
                return known[word]
    return None


def colors_of(name: str, named: Mapping[str, int]) -> list[int]:
    """The colours that a value names, as 0xRRGGBB: one, several as in "Black / White", or none."""
    whole = named.get(_plain(name))
    if whole is not None:
        return [whole]
    found = (_one(part, named) for part in _JOINT.split(name))
    return list(dict.fromkeys(rgb for rgb in found if rgb is not None))


def variant_colors(
    explicit: Sequence[str], choices: Iterable[tuple[str, str]], named: Mapping[str, int]
) -> list[int]:
    """A variant's colours: what its merchant says, else what the values of its colour options mean."""
    if explicit:
        said = (parse_rgb(code) for code in explicit)
        return list(dict.fromkeys(rgb for rgb in said if rgb is not None))
    return list(
        dict.fromkeys(
            rgb
            for option, value in choices
            if key_of(option) in COLOR_OPTIONS or key_of(option).rpartition("-")[2] in COLOR_OPTIONS
            for rgb in colors_of(value, named)
        )
    )
