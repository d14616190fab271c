"""Characters that a reader takes for one are never torn apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.combinators.graphemes import cluster_at

# A text as its clusters, separated by "|".
CLUSTERS = {
    "ASCII": "a|b| |c",
    "CRLF": "a|\r\n|b",
    "CRLF beside accents": "é|\r\n|b",
    "LF, CR": "é|\n|\r|b",
    "no mark extends a line end": "é|\n|\u0301",
    "precomposed": "\xe9|x",
    "combining accent": "e\u0301|x",
    "several marks": "a\u0323\u0302\u0308|b",
    "enclosing keycap": "1\ufe0f\u20e3|2\ufe0f\u20e3",
    "variation selector": "❤\ufe0f|❤",
    "ideographic variation": "葛\U000e0100|葛",
    "skin tone": "👍🏽|👍",
    "family": "👩\u200d👩\u200d👧\u200d👦|👩",
    "profession with skin tone": "👩🏽\u200d⚕\ufe0f|x",
    "rainbow flag": "🏳\ufe0f\u200d🌈|🏳\ufe0f",
    "flag of tags": "🏴\U000e0067\U000e0062\U000e0073\U000e007f|a",
    "two flags": "🇩🇪|🇫🇷",
    "half a flag is left": "🇩🇪|🇫",
    "flags apart": "🇩|x|🇪",
    "Hangul syllables": "한|국|어",
    "Hangul jamo": "\u1112\u1161\u11ab|\u1100\u116e\u11a8",
    "syllable and final": "가\u11a8|각\u11a8|가",
    "leading consonants": "\u1100\u1100\u1161\u1161|\u1100",
    "final, then vowel": "\u11a8|\u1161",
    "Devanagari vowel sign": "हि|न्दी",
    "Devanagari conjunct": "क्ष|त्रि|य",
    "Sinhala conjunct with joiner": "ශ්\u200dරී|ක",
    "virama, then no letter": "क्|1",
    "no letter before the virama": "\u200b|\u094dक|क",
    "Thai sara am": "กำ|น",
    "Arabic number sign": "\u0600\u0661|\u0662",
    "number sign before a line end": "\u0600|\n",
    "two number signs": "\u0600\u0600\u0661|a",
    "voiced halfwidth Katakana": "ｶﾞ|ｶ",
    "CJK": "中|文|。|が",
    "unpaired surrogates": "é|\ud83d|\udc69|x",
    "zero width space": "é|\u200b|x",
    "non-joiner": "é\u200c|x",
    "joiner at the end": "👩\u200d",
    "only marks": "\u0301\u0301",
}


def clusters(text: str) -> list[str]:
    found: list[str] = []
    position = 0
    while position < len(text):
        start, end = cluster_at(text, position)
        assert start == position
        found.append(text[start:end])
        position = end
    return found


@pytest.mark.parametrize("marked", CLUSTERS.values(), ids=CLUSTERS)
def test_a_text_falls_into_its_clusters(marked: str) -> None:
    assert clusters(marked.replace("|", "")) == marked.split("|")


@pytest.mark.parametrize("marked", CLUSTERS.values(), ids=CLUSTERS)
def test_each_character_is_in_one_cluster(marked: str) -> None:
    text, position = marked.replace("|", ""), 0
    for cluster in marked.split("|"):
        end = position + len(cluster)
        assert {cluster_at(text, each) for each in range(position, end)} == {(position, end)}
        position = end


# Every kind of character, with some luck beside every other.
characters = st.sampled_from(sorted(set("".join(CLUSTERS.values())) - {"|"}))


@given(st.text(characters, min_size=1, max_size=60))
def test_any_text_falls_into_clusters(text: str) -> None:
    found = clusters(text)
    assert "".join(found) == text
    assert [clusters(each) for each in found] == [[each] for each in found]


@given(st.text(characters, min_size=1, max_size=40), st.data())
def test_what_follows_moves_no_boundary_but_the_last(text: str, data: st.DataObject) -> None:
    begun = text[: data.draw(st.integers(1, len(text)))]
    whole, part = clusters(text), clusters(begun)
    assert part[:-1] == whole[: len(part) - 1]


@pytest.mark.parametrize(
    "unit",
    ["\u0301", "\u200d", "क्", "\u0600", "\u1100", "a\u200d", "\u094d\u0301"],
    ids=["marks", "joiners", "conjuncts", "prefixes", "jamo", "joined letters", "viramas"],
)
def test_a_cluster_may_be_as_long_as_it_likes(unit: str) -> None:
    text = "é" + unit * 20_000
    start, end = cluster_at(text, len(text) - 1)
    assert start in (0, 1)
    assert end == len(text)
    assert cluster_at(text, start) == (start, end)
