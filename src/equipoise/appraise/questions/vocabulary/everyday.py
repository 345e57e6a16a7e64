"""Everyday words for the terms of medicine, for patients and those who care for them."""

from __future__ import annotations

import re

_TERMS = {
    "any adverse event": "any unwanted event",
    "serious adverse event": "serious illness or side effect of any kind",
    "serious adverse events": "serious illness or side effect of any kind",
    "serious neurologic event": "serious trouble in or around the brain, the spinal cord or the roots of nerves",
    "adverse event that ended treatment": "side effect that ended treatment",
    "withdrawal for an adverse event": "left because of a side effect",
    "procedural pain": "pain from the procedure",
    "post lumbar puncture syndrome": "headache and other trouble after a lumbar puncture",
    "csf white cells increased": "more white cells in the spinal fluid",
    "pleocytosis": "more white cells in the spinal fluid",
    "csf protein increased": "more protein in the spinal fluid",
    "arthralgia": "joint pain",
    "myalgia": "muscle pain",
    "neuralgia": "nerve pain",
    "pain in extremity": "pain in an arm or a leg",
    "pulmonary embolism": "blood clot in the lung",
    "respiratory failure": "failure of breathing",
    "musculoskeletal stiffness": "stiff muscles or joints",
    "asthenia": "weakness",
    "contusion": "bruise",
    "dysphagia": "trouble swallowing",
    "dyspnoea": "shortness of breath",
    "gait disturbance": "trouble walking",
    "nasopharyngitis": "common cold",
    "nausea": "feeling sick",
    "pyrexia": "fever",
    "vertigo": "a spinning feeling",
}
_WORDS = (
    (r"\s*\((?!ALS\))[^)]*\)", ""),
    (r"\bamyotrophic lateral sclerosis\b", "ALS"),
    (r"\bwith a pathogenic (\S+) variant\b", r"due to a harmful change in the \1 gene"),
    (r"\bwith an? (\S+) (?:variant|expansion)\b", r"and a change in the \1 gene"),
    (r"\bALSFRS-R total score\b", "the ALSFRS-R score"),
    (r"\b(?:plasma|serum) (?:phosphorylated )?neurofilament (?:light|heavy) chain\b", "neurofilament in the blood"),
    (r"\bCSF (?:phosphorylated )?neurofilament (?:light|heavy) chain\b", "neurofilament in the spinal fluid"),
    (r"\bneurofilament (?:light|heavy) chain\b", "neurofilament"),
    (r"\bCSF (?:total )?(\w+)\b", r"\1 in the spinal fluid"),
    (r"\b(?:slow|forced) vital capacity\b", "how much air a full breath holds"),
    (r"\bhandheld dynamometry(?: megascore)?\b", "the strength of the muscles"),
    (r"\bpermanent (?:assisted )?ventilation\b", "the lasting need of a breathing machine"),
    (r"\btracheostomy\b", "a breathing tube through the neck"),
)


def everyday(label: str) -> str:
    """A label of a record in everyday words; what stands in brackets is left out.

    Examples
    --------
    >>> everyday("CSF total SOD1")
    'SOD1 in the spinal fluid'
    >>> everyday("White cells in the spinal fluid above normal (laboratory)")
    'White cells in the spinal fluid above normal'
    >>> everyday("Arthralgia (label grouping)")
    'joint pain'
    """
    short = re.sub(_WORDS[0][0], "", label).strip()
    if short.lower() in _TERMS:
        return _TERMS[short.lower()]
    for pattern, plain in _WORDS:
        label = re.sub(pattern, plain, label, flags=re.IGNORECASE)
    return label.strip()
