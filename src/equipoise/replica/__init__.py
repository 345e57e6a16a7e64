"""A published trial rebuilt: rows, answers, bands, external trials. Numbers only."""
