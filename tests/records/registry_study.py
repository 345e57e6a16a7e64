"""A small registry entry with the shapes that real ones have, invented."""

from __future__ import annotations

import copy
from typing import Any

_GROUPS = [("000", "Drug 10 mg"), ("001", "Placebo")]


def _groups(kind: str) -> list[dict[str, str]]:
    return [{"id": f"{kind}{n}", "title": t, "description": f"Took {t}"} for n, t in _GROUPS]


def _both(kind: str, a: str, b: str, **more: tuple[str, str]) -> list[dict[str, str]]:
    rows = [{"groupId": f"{kind}000", "value": a}, {"groupId": f"{kind}001", "value": b}]
    for key, pair in more.items():
        for row, value in zip(rows, pair, strict=True):
            row[key] = value
    return rows


_STUDY: dict[str, Any] = {
    "protocolSection": {
        "identificationModule": {
            "nctId": "NCT01234567",
            "orgStudyIdInfo": {"id": "X-1"},
            "briefTitle": "A small trial",
            "officialTitle": "A randomised trial of a drug against placebo",
        },
        "statusModule": {"overallStatus": "COMPLETED", "startDateStruct": {"date": "2019-01", "type": "ACTUAL"}},
        "sponsorCollaboratorsModule": {"leadSponsor": {"name": "Nobody", "class": "OTHER"}},
        "descriptionModule": {"briefSummary": "A trial."},
        "conditionsModule": {"conditions": ["A disease"]},
        "designModule": {
            "studyType": "INTERVENTIONAL",
            "phases": ["PHASE2", "PHASE3"],
            "designInfo": {
                "allocation": "RANDOMIZED",
                "interventionModel": "PARALLEL",
                "maskingInfo": {"masking": "DOUBLE", "whoMasked": ["PARTICIPANT", "INVESTIGATOR"]},
            },
            "enrollmentInfo": {"count": 60, "type": "ACTUAL"},
        },
        "armsInterventionsModule": {
            "armGroups": [
                {"label": "Drug 10 mg", "type": "EXPERIMENTAL", "interventionNames": ["Drug: D"]},
                {"label": "Placebo", "type": "PLACEBO_COMPARATOR"},
            ],
            "interventions": [{"type": "DRUG", "name": "D", "armGroupLabels": ["Drug 10 mg"]}],
        },
        "eligibilityModule": {
            "eligibilityCriteria": "Inclusion Criteria:\n\n* Ill\n* Willing,\n  and able\n"
            "* Score \\>= 4 \\[points\\]\n\n"
            "Exclusion Criteria:\n\n1. Well",
            "sex": "ALL",
            "minimumAge": "18 Years",
        },
        "contactsLocationsModule": {"locations": [{"facility": "H", "country": "France"}, {"country": "Italy"}]},
        "outcomesModule": {"primaryOutcomes": [{"measure": "Change in score", "timeFrame": "Week 24"}]},
    },
    "resultsSection": {
        "participantFlowModule": {
            "groups": _groups("FG"),
            "periods": [
                {
                    "title": "Overall",
                    "milestones": [
                        {
                            "type": kind,
                            "achievements": [
                                {"groupId": "FG000", "numSubjects": a},
                                {"groupId": "FG001", "numSubjects": b},
                            ],
                        }
                        for kind, a, b in (
                            ("STARTED", "40", "20"),
                            ("COMPLETED", "35", "18"),
                            ("NOT COMPLETED", "5", "2"),
                        )
                    ],
                }
            ],
        },
        "baselineCharacteristicsModule": {
            "groups": [*_groups("BG"), {"id": "BG002", "title": "Total"}],
            "denoms": [
                {
                    "units": "Participants",
                    "counts": [
                        {"groupId": "BG000", "value": "40"},
                        {"groupId": "BG001", "value": "20"},
                        {"groupId": "BG002", "value": "60"},
                    ],
                }
            ],
            "measures": [
                {
                    "title": "Age",
                    "paramType": "MEAN",
                    "dispersionType": "STANDARD_DEVIATION",
                    "unitOfMeasure": "years",
                    "classes": [
                        {
                            "categories": [
                                {
                                    "measurements": [
                                        *_both("BG", "50.10", "51.0", spread=("9.5", "8.7")),
                                        {"groupId": "BG002", "value": "50.4", "spread": "9.2"},
                                    ]
                                }
                            ]
                        }
                    ],
                },
                {
                    "title": "Sex",
                    "paramType": "COUNT_OF_PARTICIPANTS",
                    "unitOfMeasure": "Participants",
                    "classes": [
                        {
                            "categories": [
                                {"title": "Female", "measurements": _both("BG", "15", "8")},
                                {"title": "Male", "measurements": _both("BG", "25", "12")},
                            ]
                        }
                    ],
                },
            ],
        },
        "outcomeMeasuresModule": {
            "outcomeMeasures": [
                {
                    "type": "PRIMARY",
                    "title": "Change in score",
                    "timeFrame": "Week 24",
                    "paramType": "LEAST_SQUARES_MEAN",
                    "dispersionType": "Standard Error",
                    "unitOfMeasure": "points",
                    "groups": _groups("OG"),
                    "classes": [
                        {"categories": [{"measurements": _both("OG", "-2.0", "-4.5", spread=("0.60", "0.85"))}]}
                    ],
                    "analyses": [
                        {
                            "groupIds": ["OG000", "OG001"],
                            "pValue": "= 0.0164",
                            "statisticalMethod": "ANCOVA",
                            "paramType": "LS Mean Difference",
                            "paramValue": "2.5",
                            "ciPctValue": "95",
                            "ciNumSides": "TWO_SIDED",
                            "ciLowerLimit": "0.5",
                            "ciUpperLimit": "4.5",
                        }
                    ],
                },
                {
                    "type": "SECONDARY",
                    "title": "Time to death",
                    "timeFrame": "Up to 12 months",
                    "paramType": "MEDIAN",
                    "dispersionType": "95% Confidence Interval",
                    "unitOfMeasure": "months",
                    "groups": _groups("OG"),
                    "classes": [
                        {
                            "categories": [
                                {
                                    "measurements": _both(
                                        "OG", "NA", "11.2", lowerLimit=("9.0", "8.1"), upperLimit=("NA", "NA")
                                    )
                                }
                            ]
                        }
                    ],
                },
            ]
        },
        "adverseEventsModule": {
            "frequencyThreshold": "5",
            "eventGroups": [
                {**g, "seriousNumAffected": s, "seriousNumAtRisk": n, "deathsNumAffected": 1, "deathsNumAtRisk": n}
                for g, s, n in zip(_groups("EG"), (4, 3), (40, 20), strict=True)
            ],
            "seriousEvents": [
                {
                    "term": "Pneumonia",
                    "organSystem": "Infections",
                    "stats": [
                        {"groupId": "EG000", "numAffected": 2, "numAtRisk": 40, "numEvents": 3},
                        {"groupId": "EG001", "numAffected": 1, "numAtRisk": 20},
                    ],
                }
            ],
        },
    },
}


def study() -> dict[str, Any]:
    """A fresh copy of the entry."""
    return copy.deepcopy(_STUDY)


def first(entry: dict[str, Any]) -> dict[str, Any]:
    """The first analysis of the first outcome."""
    return outcome(entry)["analyses"][0]


def outcome(entry: dict[str, Any], number: int = 0) -> dict[str, Any]:
    """One outcome of the results."""
    return entry["resultsSection"]["outcomeMeasuresModule"]["outcomeMeasures"][number]
