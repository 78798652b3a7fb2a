"""Semantic versions: the order of semver.org, and what follows a version."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from fleet.repository.versions import Version, parse

numbers = st.integers(0, 999_999_999)
words = st.text("019aZ-", max_size=4).map(lambda text: text + "x")
identifiers = st.one_of(numbers.map(str), words)
prereleases = st.lists(identifiers, max_size=3).map(".".join)
made = st.builds(Version, numbers, numbers, numbers, prereleases)


def test_the_order_of_the_specification():
    ordered = [
        *("1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"),
        *("1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0-0", "2.0.0"),
    ]
    for lower, higher in itertools.combinations(ordered, 2):
        assert parse(lower).order < parse(higher).order


@given(made)
def test_a_version_survives_its_text(version):
    assert parse(str(version)) == version


@given(made)
def test_the_next_patch_is_higher_and_no_prerelease(version):
    following = version.next_patch()
    assert following.order > version.order
    assert not following.prerelease
