"""Cuts the font for the web: what nearly every text needs in one file, the rarer letters in another that is loaded when one of them is shown.
Kerning is kept, at the weight in the middle and in steps of 8 units of 2048 (0.06 px at 15 px): as a function of the weight it was half of the file.
usage: python3 tools/cut_font.py FONT.woff2      (variable, wght 400 to 700; needs fonttools and brotli from PyPI)
"""
import io
import os
import sys

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src", "fonts")
CORE = set(range(0x20, 0x7F)) | {ord(c) for c in "\u00a0æøåÆØÅäöüÄÖÜéÉ§°«»·×–—‘’‚“”„•…€↑↓−½²µ"}
RARE = {ord(c) for c in "¡¢£¤¥¦¨©ª¬®¯±³´¶¸¹º¼¾¿ÀÁÂÃÇÈÊËÌÍÎÏÐÑÒÓÔÕÙÚÛÝÞßàáâãçèêëìíîïðñòóôõ÷øùúûýþÿıŒœ′″"} - CORE
STEP = 8


def values(font):
    for lookup in font["GPOS"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            if table.Format == 1:
                yield from (pair.Value1 for pairs in table.PairSet for pair in pairs.PairValueRecord)
            else:
                yield from (second.Value1 for first in table.Class1Record for second in first.Class2Record)


def cut(font, letters, name):
    options = subset.Options()
    options.flavor = "woff2"
    options.layout_features = ["kern", "tnum", "locl", "liga"]
    options.hinting = False
    options.name_IDs = [0, 1, 2, 13, 14]
    options.notdef_outline = True
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=letters)
    cutter.subset(font)
    path = os.path.join(FOLDER, name)
    subset.save_font(font, path, options)
    print(f"{os.path.getsize(path):6}  {name}  {ranges(letters)}")


def ranges(letters):
    out, rest = [], sorted(letters)
    while rest:
        last = first = rest.pop(0)
        while rest and rest[0] == last + 1:
            last = rest.pop(0)
        out.append(f"U+{first:X}" if first == last else f"U+{first:X}-{last:X}")
    return ", ".join(out)


def main(path):
    with open(path, "rb") as file:
        bytes_ = file.read()

    middle = instancer.instantiateVariableFont(TTFont(io.BytesIO(bytes_)), {"wght": 550})
    for value in values(middle):
        if value is not None and getattr(value, "XAdvance", None) is not None:
            value.XAdvance = round(value.XAdvance / STEP) * STEP
    for letters, name in ((CORE, "schibsted-grotesk.woff2"), (RARE, "schibsted-grotesk-rare.woff2")):
        font = TTFont(io.BytesIO(bytes_))
        font["GPOS"] = middle["GPOS"]
        kept = io.BytesIO()
        font.save(kept)
        kept.seek(0)
        cut(TTFont(kept), letters & set(font.getBestCmap()), name)


main(sys.argv[1])
