"""Shared writers of reports: tables as CSV, Markdown and LaTeX, and figures."""
