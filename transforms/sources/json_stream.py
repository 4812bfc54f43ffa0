"""The lists of one large JSON object, a few megabytes at a time.

The text is cut where an element of a list ends, which numpy finds by counting brackets outside of
strings, and each piece is parsed by the parser of the standard library: NaN is read, and what is
wrong is known by its byte. Members that nobody asks for are skipped unparsed.
"""

import json
import re
import typing
import zipfile
import zlib

import numpy as np
import numpy.typing as npt

from transforms.sources.input_files import InputError

BLOCK_BYTES = 2 << 20
MAX_ITEM_BYTES = 64 << 20
"""Of one element of a list, which is parsed whole."""

_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")], _STEP[list(b"]}")] = 1, -1
_STRUCTURAL = _STEP != 0
_STRUCTURAL[ord('"')] = True
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]}]+")
_SPACE = re.compile(rb"[ \t\r\n]*")
_COMMA = re.compile(rb"[ \t\r\n]*,")
_BOM = b"\xef\xbb\xbf"


class BadJsonError(InputError):
    """A file is no JSON object, is damaged or ends early.

    Attributes:
        name: of the file.
        offset: the byte where it went wrong, counted from the file's beginning, -1 if not known.
    """

    def __init__(self, name: str, offset: int, what: str, remedy: str = "download the file again"):
        place = f", byte {offset}" if offset >= 0 else ""
        super().__init__(f"{name}{place}: {what}; {remedy}")
        self.name, self.offset, self.what, self.remedy = name, offset, what, remedy

    def __reduce__(self) -> tuple[type["BadJsonError"], tuple[str, int, str, str]]:
        return type(self), (self.name, self.offset, self.what, self.remedy)


class Items(typing.NamedTuple):
    """Some elements of a list, in order.

    Attributes:
        values: parsed.
        first: index of the first of them in its list.
        text: what they were parsed from, commas between them.
        offset: byte of the file at which the text begins.
    """

    values: list[typing.Any]
    first: int
    text: str
    offset: int


class JsonReader:
    """Reads the members of the object that a file holds, once, in order.

    Example:
        >>> import io
        >>> reader = JsonReader(io.BytesIO(b'{"info": {"year": 2017}, "images": [{"id": 1}, {"id": 2}]}'), "a.json")
        >>> {key: [i.values for i in reader.items()] for key in reader.members() if key == "images"}
        {'images': [[{'id': 1}, {'id': 2}]]}
    """

    def __init__(self, file: typing.BinaryIO, name: str, block_bytes: int = BLOCK_BYTES):
        self._file, self._name, self._block_bytes = file, name, block_bytes
        self._data, self._offset, self._unread = b"", 0, False

    def members(self) -> typing.Iterator[str]:
        """Yields the names of the members; the value of each may be read before the next is asked for."""
        self._begin()
        if self._peek() == b"}":
            return
        while True:
            yield self._key()
            if self._unread:
                self._skip()
            separator = self._take()
            if separator == b"}":
                break
            if separator != b",":
                raise self._error("expected ',' or '}' after a member", -1)
        if self._peek():
            raise self._error("there is more after the end of the object")

    def items(self) -> typing.Iterator[Items]:
        """Yields the elements of the current member, a list, some at a time."""
        self._open_list()
        depths, first, text, offset = _Depths(), 0, b"", self._offset
        closed = False
        while not closed:
            block = self._block()
            positions, depth = depths.feed(block)
            close = np.flatnonzero(depth < 0)
            closed = len(close) > 0
            if closed:
                end = int(positions[close[0]])
                self._data, self._offset = block[end + 1 :], self._offset - len(block) + end + 1
            else:
                ends = positions[depth == 0]
                end = int(ends[-1]) + 1 if len(ends) else 0
            if closed or end:
                found = self._parse(text + block[:end], first, offset)
                offset += len(text) + end
                first, text = first + len(found.values), block[end:]
                if found.values:
                    yield found
            else:
                text += block
            if not closed and len(text) > MAX_ITEM_BYTES:
                raise BadJsonError(self._name, offset, f"an element has more than {MAX_ITEM_BYTES} bytes", "check it")

    def peek_items(self) -> list[typing.Any]:
        """Returns the first element of the current member, a list, alone; nothing if it is empty. It stays unread."""
        self._open_list()
        offset = self._offset
        depths, seen = _Depths(), b""
        while True:
            block = self._block()
            positions, depth = depths.feed(block)
            seen += block
            ends = np.flatnonzero(depth <= 0)
            if len(ends):
                break
            if len(seen) > MAX_ITEM_BYTES:
                raise BadJsonError(self._name, offset, f"an element has more than {MAX_ITEM_BYTES} bytes", "check it")
        end = len(seen) - len(block) + int(positions[ends[0]]) + int(depth[ends[0]] == 0)
        values = self._parse(seen[:end], 0, offset).values
        self._data, self._offset, self._unread = b"[" + seen, offset - 1, True
        return values[:1]

    def _begin(self) -> None:
        while len(self._data) < len(_BOM) and self._fill():
            pass
        if self._data.startswith(_BOM):
            self._advance(len(_BOM))
        if self._peek() == b"[":
            raise self._error("is a list, as results are", remedy="give the annotation file that the results are of")
        if self._take() != b"{":
            raise BadJsonError(self._name, 0, "is not a JSON object in UTF-8", "check that this is the JSON file")

    def _key(self) -> str:
        if self._peek() != b'"':
            raise self._error("expected the name of a member")
        name = self._match(_STRING)
        try:
            key: str = json.loads(name.decode("utf-8"))
        except ValueError as error:
            raise self._error(f"the name of a member cannot be read ({error})", -len(name)) from error
        if self._take() != b":":
            raise self._error("expected ':'", -1)
        self._unread = True
        return key

    def _open_list(self) -> None:
        if self._peek() != b"[":
            raise self._error("expected a list", remedy="check that this is an annotation file")
        self._advance(1)
        self._unread = False

    def _skip(self) -> None:
        self._unread = False
        start = self._peek()
        if start == b'"':
            self._match(_STRING)
        elif start not in (b"[", b"{"):
            self._match(_SCALAR)
        else:
            depths = _Depths()
            ends = np.empty(0, np.int64)
            while not len(ends):
                block = self._block()
                positions, depth = depths.feed(block)
                ends = positions[depth == 0]
            end = int(ends[0]) + 1
            self._data, self._offset = block[end:], self._offset - len(block) + end

    def _parse(self, data: bytes, first: int, offset: int) -> Items:
        """Parses elements, which begin with a comma unless they are the first."""
        comma = _COMMA.match(data) if first else None
        begin = comma.end() if comma else 0
        try:
            text = data[begin:].decode("utf-8")
            values = json.loads(f"[{text}]")
        except UnicodeDecodeError as error:
            raise BadJsonError(self._name, offset + begin + error.start, "is not UTF-8") from error
        except json.JSONDecodeError as error:
            place = offset + begin + len(text[: max(0, error.pos - 1)].encode())
            raise BadJsonError(self._name, place, f"wrong JSON ({error.msg})") from error
        except (ValueError, RecursionError) as error:
            raise BadJsonError(self._name, offset + begin, f"JSON that cannot be read ({error})") from error
        if first and bool(values) != bool(comma):
            raise BadJsonError(self._name, offset, "wrong JSON (a comma is missing, or one too many)")
        return Items(values, first, text, offset + begin)

    def _block(self) -> bytes:
        """Takes all bytes at hand, at least one."""
        if not self._data and not self._fill():
            raise self._error("the file ends too early")
        block, self._data = self._data, b""
        self._offset += len(block)
        return block

    def _peek(self) -> bytes:
        """Returns the next byte that is no white space, b'' at the end of the file."""
        while True:
            self._advance(typing.cast(re.Match[bytes], _SPACE.match(self._data)).end())
            if self._data or not self._fill():
                return self._data[:1]

    def _take(self) -> bytes:
        taken = self._peek()
        if not taken:
            raise self._error("the file ends too early")
        self._advance(1)
        return taken

    def _match(self, pattern: re.Pattern[bytes]) -> bytes:
        """Takes what a pattern matches here."""
        while True:
            found = pattern.match(self._data)
            if found and (found.end() < len(self._data) or pattern is _STRING):
                self._advance(found.end())
                return found.group()
            if len(self._data) > MAX_ITEM_BYTES or not self._fill():
                raise self._error("the file ends too early")

    def _advance(self, count: int) -> None:
        self._data, self._offset = self._data[count:], self._offset + count

    def _fill(self) -> bool:
        try:
            more = self._file.read(self._block_bytes)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise self._error(f"cannot be decompressed ({error})") from error
        self._data += more
        return bool(more)

    def _error(self, what: str, shift: int = 0, remedy: str = "download the file again") -> BadJsonError:
        return BadJsonError(self._name, self._offset + shift, what, remedy)


def item_spans(items: Items) -> list[tuple[int, int, int]]:
    """Finds where each element lies: byte of the file, and begin and end in ``items.text``.

    Example:
        >>> item_spans(Items([1, 2], 0, "1, 2", 10))
        [(10, 0, 1), (13, 3, 4)]
    """
    decoder, spans, end, byte = json.JSONDecoder(), [], 0, items.offset
    for _ in items.values:
        begin = typing.cast(re.Match[str], re.compile(r"[\s,]*").match(items.text, end)).end()
        byte += len(items.text[end:begin].encode())
        _, end = decoder.raw_decode(items.text, begin)
        spans.append((byte, begin, end))
        byte += len(items.text[begin:end].encode())
    return spans


class _Depths:
    """Follows how deep brackets are nested, through blocks of text that are fed in turn."""

    def __init__(self) -> None:
        self._depth, self._in_string, self._escaped = 0, False, False

    def feed(self, block: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Returns the positions of the brackets outside of strings, and the depth after each."""
        data = np.frombuffer(self._without_escapes(block), np.uint8)
        positions = np.flatnonzero(_STRUCTURAL[data])
        steps = _STEP[data[positions]]
        quotes = np.cumsum(steps == 0) + self._in_string
        self._in_string = bool(quotes[-1] % 2) if len(quotes) else self._in_string
        outside = (steps != 0) & (quotes % 2 == 0)
        depths = self._depth + np.cumsum(steps[outside], dtype=np.int64)
        self._depth = int(depths[-1]) if len(depths) else self._depth
        return positions[outside], depths

    def _without_escapes(self, block: bytes) -> bytes:
        """Blots out escape sequences, one of which may reach into the next block."""
        if self._escaped:
            block = b"_" + block[1:]
        self._escaped = False
        if b"\\" in block:
            block = _ESCAPE.sub(b"__", block)
            self._escaped = block.endswith(b"\\")
        return block
