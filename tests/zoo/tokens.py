"""Mistakes with a grant that rotates: one each for I32 and I33."""

from pytest import MonkeyPatch

from tests.planted import granting


def the_one_before_is_dropped(patch: MonkeyPatch) -> None:
    """I32: a refresh token that was used is of no use any more, whether or not the new one works."""
    granting.the_one_before_is_dropped(patch)


def any_trouble_is_a_void_grant(patch: MonkeyPatch) -> None:
    """I33: a refresh that did not work is a grant that is gone: somebody is called to a browser for a network's
    trouble."""
    granting.any_trouble_is_a_void_grant(patch)
