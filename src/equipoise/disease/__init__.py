"""Dose to exposure to target to injury to biomarker to function to event; the population of virtual patients."""
