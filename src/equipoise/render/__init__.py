"""That document as HTML, Markdown and JSON; charts and tables."""
