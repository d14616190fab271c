"""The pieces of JSON text, and of Markdown around it, as regular expressions.

None of them goes back over what it has taken: each costs as much as its match is long.
"""

import re

_SPACE = r"[ \t\n\r]*+"
# The inside of a string without escapes.
_PLAIN = r'[^"\\\x00-\x1f]*+'
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?"
# Where a number is, or will be, or turns out not to be.
_DIGITS = r"[-0-9][-+.0-9eE]*+"

space = re.compile(_SPACE).match
fence = re.compile(r"```[^`\n]*\n").match
open_fence = re.compile(r"`{1,2}|```[^`\n]*").fullmatch
delimiter = re.compile(rf"{_SPACE}([,\]}}]){_SPACE}").match
key = re.compile(rf'"({_PLAIN})"{_SPACE}:{_SPACE}').match
digits = re.compile(_DIGITS).match
number = re.compile(_NUMBER).fullmatch

# A member of which there is nothing to be seen yet.
open_member = re.compile(rf'"{_PLAIN}(?:"{_SPACE}(?::{_SPACE}(?:{_DIGITS})?)?)?').fullmatch
# The beginning of an object of scalars: whole members; a key; a string that has not ended.
open_object = re.compile(
    rf"""\{{
    ((?:{_SPACE}"{_PLAIN}"{_SPACE}:{_SPACE}(?:"{_PLAIN}"|{_NUMBER}|true|false|null){_SPACE},)*+)
    {_SPACE}(?:"({_PLAIN})(?:"{_SPACE}(?::{_SPACE}(?:{_DIGITS}|"({_PLAIN}))?)?)?)?""",
    re.VERBOSE,
).fullmatch

# The inside of a string as far as it can be decoded. The first half of a surrogate pair waits
# until what follows is known, since both halves make one character.
string_run = re.compile(
    r"""(?:
        [^"\\\x00-\x1f]++
      | \\["\\/bfnrt]
      | \\u(?![dD][89abAB])[0-9a-fA-F]{4}
      | \\u[dD][89abAB][0-9a-fA-F]{2}(?=[^\\]|\\[^u]|\\u[0-9a-fA-F]{4})
    )*+""",
    re.VERBOSE,
).match
open_escape = re.compile(
    r"\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?))?"
).fullmatch
