"""A page as immutable data: blocks, charts, citations, readers. Knows no trial."""
