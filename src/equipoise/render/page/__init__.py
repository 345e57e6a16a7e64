"""Documents as HTML, Markdown, JSON and cards."""
