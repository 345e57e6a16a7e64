"""What testing everyone for a genetic variant yields, from stated frequencies."""

from __future__ import annotations

from equipoise.errors import DataError


def testing_yield(familial_share: float, in_familial: float, in_sporadic: float) -> float:
    """Share of all patients who carry a variant, from its frequency in familial and in sporadic disease (fractions)."""
    _fractions(familial_share=familial_share, in_familial=in_familial, in_sporadic=in_sporadic)
    return familial_share * in_familial + (1.0 - familial_share) * in_sporadic


def number_to_test(familial_share: float, in_familial: float, in_sporadic: float) -> float:
    """People to test to find one carrier: the inverse of the yield.

    Raises :class:`DataError` where nobody carries the variant.
    """
    found = testing_yield(familial_share, in_familial, in_sporadic)
    if found == 0:
        raise DataError("nobody carries the variant", hint="give a frequency above zero in one of the two groups")
    return 1.0 / found


def missed_by_family_history(familial_share: float, in_familial: float, in_sporadic: float) -> float:
    """Share of carriers who are not found if only those with a family history are tested."""
    found = testing_yield(familial_share, in_familial, in_sporadic)
    if found == 0:
        raise DataError("nobody carries the variant", hint="give a frequency above zero in one of the two groups")
    return (1.0 - familial_share) * in_sporadic / found


def _fractions(**given: float) -> None:
    for name, value in given.items():
        if not 0 <= value <= 1:
            raise DataError(f"{name}: {value:g} is no share", hint="give fractions between 0 and 1")
