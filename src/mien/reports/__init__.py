"""What several applications write with: tables as CSV, Markdown and LaTeX, and the style of figures."""
