"""Ranges of versions: every form means what the definitions by `>=` and `<` say, and combines as sets do."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from scheduler.model import semver

numbers = st.integers(0, 4)
versions = st.tuples(numbers, numbers, numbers)
wildcards = st.sampled_from(["x", "X", "*"])
blanks = st.text(" ", max_size=2)


def text(version) -> str:
    return ".".join(map(str, version))


@st.composite
def partials(draw):
    """Leading numbers, and a text that says only so many: `1`, `1.x`, `1.2.*`, `*`."""
    known = draw(st.lists(numbers, max_size=3))
    parts = [*map(str, known), *draw(st.lists(wildcards, min_size=0 if known else 1, max_size=3 - len(known)))]
    return known, draw(st.sampled_from(["", "v"])) + ".".join(parts)


def allows(range_text: str, version) -> bool:
    return semver.satisfies(version, semver.parse_range(range_text))


def starts_so(version, known) -> bool:
    return list(version[: len(known)]) == known


@given(partials(), versions)
def test_a_partial_version_is_all_versions_that_begin_so(partial, version):
    known, said = partial
    assert allows(said, version) == starts_so(version, known)


@given(partials(), versions, blanks)
def test_an_order_compares_only_the_parts_that_are_said(partial, version, blank):
    known, said = partial
    begin = list(version[: len(known)])
    assert allows(f">={blank}{said}", version) == (begin >= known)
    assert allows(f"<{blank}{said}", version) == (begin < known)
    assert allows(f">{blank}{said}", version) == (begin > known)
    assert allows(f"<={blank}{said}", version) == (begin <= known)


@given(partials(), versions, st.sampled_from(["~", "~>", "~ ", "~> "]))
def test_a_tilde_fixes_major_and_minor_where_they_are_said(partial, version, tilde):
    known, said = partial
    assert allows(tilde + said, version) == (list(version[: len(known)]) >= known and starts_so(version, known[:2]))


@given(partials(), versions)
def test_a_caret_fixes_everything_up_to_the_first_part_that_is_not_zero(partial, version):
    known, said = partial
    fixed = next((known[: at + 1] for at, number in enumerate(known) if number), known)
    assert allows(f"^{said}", version) == (list(version[: len(known)]) >= known and starts_so(version, fixed))


@given(partials(), partials(), versions)
def test_a_hyphen_is_from_one_to_the_other_both_included(low, high, version):
    said = f"{low[1]} - {high[1]}"
    assert allows(said, version) == (allows(f">={low[1]}", version) and allows(f"<={high[1]}", version))


@given(versions, versions)
def test_a_pre_release_lies_just_before_its_release(release, version):
    said = f"{text(release)}-rc.1"
    assert not allows(said, version)
    assert allows(f">={said}", version) == allows(f">{said}", version) == (version >= release)
    assert allows(f"<{said}", version) == allows(f"<={said}", version) == (version < release)


simple = st.builds(
    "{}{}".format, st.sampled_from(["", "=", ">", "<", ">=", "<=", "~", "^"]), partials().map(lambda p: p[1])
)


@given(simple, simple, versions, st.sampled_from(["||", " || ", "|| "]))
def test_bars_are_or_and_blanks_are_and(one, other, version, bars):
    assert allows(f"{one}{bars}{other}", version) == (allows(one, version) or allows(other, version))
    assert allows(f" {one}  {other} ", version) == (allows(one, version) and allows(other, version))


@given(simple, st.lists(versions, max_size=5))
def test_the_newest_is_allowed_and_none_that_is_allowed_is_newer(said, known):
    newest = semver.newest(map(text, known), said)
    fitting = [version for version in known if allows(said, version)]
    assert newest == (text(max(fitting)) if fitting else None)


@given(st.text(string.digits + "xX*.-+<>=~^|v a\n\u0663", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_range_or_a_value_error(said):
    try:
        ranges = semver.parse_range(said)
    except ValueError:
        return
    assert len(said) <= semver.MAX_LENGTH
    assert semver.satisfies((1, 2, 3), ranges) in (True, False)
