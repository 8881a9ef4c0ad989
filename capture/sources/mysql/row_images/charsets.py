"""Character sets of MySQL and MariaDB -> UTF-8. Pure.

Chunk and stream both get a column's own bytes and both come through here, so they agree whatever the server's own
conversion would say. Where that and Python's codec name different characters, the server's is taken; tests compare all
codes with a live server. Bytes that are no text of their character set are an error, never a question mark.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: What stands in a table for a byte that means nothing; Python's charmap decoder refuses it.
_UNDEFINED: Final = "\ufffe"
_ASCII: Final = "".join(map(chr, range(128)))
_UPPER: Final = "".join(map(chr, range(128, 256)))


def decoder(charset: str) -> Callable[[bytes], bytes] | None:
    """Return what makes UTF-8 of text in a character set; None: it is UTF-8. KeyError for one that is not known.

    The function raises UnicodeDecodeError for bytes that are no text of the character set.
    """
    if charset in _UTF8:
        return None
    if charset in _BYTEWISE:
        return _bytewise(_table(*_BYTEWISE[charset]), ascii_is_itself=keeps_ascii(charset))
    codec, corrections, errors = _MULTIBYTE[charset]
    return _multibyte(
        codec, {ord(c): other for c, other in corrections.items()}, errors, ascii_is_itself=not codec.startswith("utf")
    )


def keeps_ascii(charset: str) -> bool:
    """Whether bytes below 80 are the ASCII characters, so that text of such bytes alone is UTF-8 as it stands."""
    if charset in _UTF8:
        return True
    if charset in _BYTEWISE:
        return _table(*_BYTEWISE[charset]).startswith(_ASCII)
    return not _MULTIBYTE[charset][0].startswith("utf")


def is_known(charset: str) -> bool:
    """Whether text of this character set can be read."""
    return charset in _UTF8 or charset in _BYTEWISE or charset in _MULTIBYTE


def _bytewise(table: str, *, ascii_is_itself: bool) -> Callable[[bytes], bytes]:
    def decode(data: bytes) -> bytes:
        if ascii_is_itself and data.isascii():
            return data
        return codecs.charmap_decode(data, "strict", table)[0].encode()

    return decode


def _multibyte(
    codec: str, corrections: dict[int, str], errors: str, *, ascii_is_itself: bool
) -> Callable[[bytes], bytes]:
    def decode(data: bytes) -> bytes:
        if ascii_is_itself and data.isascii():
            return data
        if errors == _EUC_VENDOR:
            data = data.replace(*_VENDOR_TILDE)
        text = data.decode(codec, errors)
        return (text.translate(corrections) if corrections else text).encode()

    return decode


def _table(codec: str, corrections: dict[int, str]) -> str:
    """Return the characters of all 256 bytes: those of Python's codec or of a table, with corrections by byte."""
    if codec in _TABLES:
        characters = list(_TABLES[codec])
    else:
        characters = [bytes([byte]).decode(codec, "replace").replace("\ufffd", _UNDEFINED) for byte in range(256)]
    for byte, character in corrections.items():
        characters[byte] = character
    return "".join(characters)


# --- the Japanese EUC sets, which hold more than Python's codec knows -------------------------------------------------

#: Rows 85 to 94 of both planes are for characters of the user's own, in Unicode's private area.
_PRIVATE_ROW, _ROW, _PRIVATE = 0xF5, 94, 0xE000
_PLANE_2: Final = 0x8F
#: Row 13 of plane 1 as code page 932 has it: NEC's special characters.
_NEC_ROW: Final = 0xAD
#: IBM's characters, from 8FF3F3 on. Compatibility ideographs are escaped: normalising editors would replace them.
_IBM: Final = (
    "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤\ufa0e咊坙\ufa0f\ufa10增寬峵嵓\ufa11德悅愠敎昻晥\ufa12\uf929栁\ufa13"
    "\ufa14橫櫢淸淲瀨\ufa15\ufa16甁皂皞\ufa17礰\ufa18\ufa19\ufa1a\ufa1b竧\ufa1c\ufa1d綠緖\ufa1e荢\ufa1f薰"
    "\ufa20\ufa21蠇\ufa22譿賴赶\ufa23\ufa24\ufa25郞\ufa26鄕\ufa27\ufa28閒\uf9dc\ufa29霻靍靑\ufa2a\ufa2b"
    "\ufa2c馞髙魲\ufa2d黑"
)

#: The tilde of plane 2, which Python takes for ASCII's, as that of plane 1. Its first byte begins characters only.
_VENDOR_TILDE: Final = b"\x8f\xa2\xb7", b"\xa1\xc1"


def _extra(error: UnicodeError, *, vendor: bool) -> tuple[str, int]:
    """Return the character at which Python's EUC-JP gave up, and where to go on; raises the error if there is none."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    second_plane = error.object[error.start] == _PLANE_2
    at = error.start + second_plane
    code = error.object[at : at + 2]
    if len(code) < 2 or not all(0xA1 <= byte <= 0xFE for byte in code):
        raise error
    row, cell = code[0], code[1] - 0xA1
    if row >= _PRIVATE_ROW:
        return chr(_PRIVATE + (second_plane * 10 + row - _PRIVATE_ROW) * _ROW + cell), at + 2
    found = _vendor(row, cell, second_plane=second_plane) if vendor else ""
    if not found:
        raise error
    return found, at + 2


def _vendor(row: int, cell: int, *, second_plane: bool) -> str:
    if second_plane:
        place = (row - 0xF3) * _ROW + cell - (0xF3 - 0xA1)
        return _IBM[place] if 0 <= place < len(_IBM) else ""
    if row != _NEC_ROW:
        return ""
    trail = 0x40 + cell + (cell >= 0x3F)  # a row of 94 cells in Shift JIS leaves 7F out
    return bytes([0x87, trail]).decode("cp932", "ignore")


def _handler(*, vendor: bool) -> Callable[[UnicodeError], tuple[str, int]]:
    return lambda error: _extra(error, vendor=vendor)


_EUC_PRIVATE: Final = "ferryman.euc-private"
_EUC_VENDOR: Final = "ferryman.euc-vendor"
codecs.register_error(_EUC_PRIVATE, _handler(vendor=False))
codecs.register_error(_EUC_VENDOR, _handler(vendor=True))


# --- tables -----------------------------------------------------------------------------------------------------------

#: Labels of ENUM and SET may be of the set that is none: they are read as what they are nearly always.
_UTF8: Final = frozenset({"utf8mb4", "utf8mb3", "utf8", "ascii", "binary"})

#: Character sets of one byte: Python's codec or a table below, and what the server has otherwise.
_BYTEWISE: Final[dict[str, tuple[str, dict[int, str]]]] = {
    "latin1": ("cp1252", {byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}),
    "latin2": ("iso8859_2", {}),
    "latin5": ("iso8859_9", {}),
    "latin7": ("iso8859_13", {}),
    "cp850": ("cp850", {}),
    "cp852": ("cp852", {}),
    "cp866": ("cp866", {0xFC: "\u207f", 0xFD: "\u00b2"}),
    "cp1250": ("cp1250", {}),
    "cp1251": ("cp1251", {}),
    "cp1256": ("cp1256", {}),
    "cp1257": ("cp1257", {}),
    "koi8r": ("koi8_r", {}),
    "koi8u": ("koi8_u", {0x95: "\u2022"}),
    "greek": ("iso8859_7", {0xA1: "\u02bd", 0xA2: "\u02bc"}),
    "hebrew": ("iso8859_8", {0xAF: "\u203e"}),
    "tis620": ("iso8859_11", {}),
    "macce": ("mac_latin2", {}),
    "macroman": ("mac_roman", {}),
    "hp8": ("hp_roman8", {}),
    "armscii8": ("armscii8", {}),
    "dec8": ("dec8", {}),
    "geostd8": ("geostd8", {}),
    "keybcs2": ("keybcs2", {}),
    "swe7": ("swe7", {}),
}

#: Character sets of several bytes: Python's codec, characters that the server has instead, the codec's error handler.
_MULTIBYTE: Final[dict[str, tuple[str, dict[str, str], str]]] = {
    "ucs2": ("utf-16-be", {}, "strict"),
    "utf16": ("utf-16-be", {}, "strict"),
    "utf16le": ("utf-16-le", {}, "strict"),
    "utf32": ("utf-32-be", {}, "strict"),
    "gb2312": ("gb2312", {}, "strict"),
    "gbk": ("gbk", {}, "strict"),
    # The edition of 2005, in which two characters changed places.
    "gb18030": ("gb18030", {"\ue7c7": "\u1e3f", "\u1e3f": "\ue7c7"}, "strict"),
    "euckr": ("cp949", {}, "strict"),
    "big5": (
        "cp950",
        dict(zip("‧﹑¯～⊕⊙∕﹨￥￠￡", "•､‾∼♁☉／＼¥¢£", strict=True)),
        "strict",
    ),
    "sjis": ("shift_jis", {"＼": "\\"}, "strict"),
    "cp932": ("cp932", {}, "strict"),
    "ujis": ("euc_jp", {"＼": "\\"}, _EUC_PRIVATE),
    "eucjpms": ("euc_jp", dict(zip("〜‖−¢£¬¦", "～∥－￠￡￢￤", strict=True)), _EUC_VENDOR),
}


def _swe7() -> str:
    letters = dict(zip("@[\\]^`{|}~\x7f", "ÉÄÖÅÜéäöåü" + _UNDEFINED, strict=True))
    return "".join(letters.get(c, c) for c in _ASCII) + _UNDEFINED * 128


def _latin(corrections: dict[str, str]) -> str:
    return _ASCII + "".join(corrections.get(c, c) for c in _UPPER)


_ARMENIAN: Final = "\u2741§։)(»«—.՝,-՟…՜՛՞" + "".join(chr(0x531 + i) + chr(0x561 + i) for i in range(38)) + "’'"
_GEORGIAN: Final = "აბგდევზჱთიკლმნჲოპჟრსტჳუფქღყშჩცძწჭხჴჯჰჵ"
_GEORGIAN_C1: Final = "€?‚?„…†‡?‰?‹?????‘’“”•–—???›????".replace("?", _UNDEFINED)
_KAMENICKY: Final = (
    "ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘťáíóúňŇŮÔšřŕŔ¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩"
    "≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0"
)
_DEC8: Final = {
    **dict.fromkeys("¤¦¬\u00ad®¯´¸¾ÐÞðþÿ", _UNDEFINED),
    "¨": "¤", "×": "Œ", "Ý": "Ÿ", "÷": "œ", "ý": "ÿ",
}  # fmt: skip

#: Characters of all 256 bytes of the sets that Python has no codec for.
_TABLES: Final[dict[str, str]] = {
    "armscii8": _ASCII + _UPPER[:33] + _ARMENIAN,
    "dec8": _latin(_DEC8),
    "geostd8": _ASCII + _GEORGIAN_C1 + _UPPER[32:64] + _GEORGIAN + _UNDEFINED * 23 + "№" + _UNDEFINED * 2,
    "keybcs2": _ASCII + _KAMENICKY,
    "swe7": _swe7(),
}
