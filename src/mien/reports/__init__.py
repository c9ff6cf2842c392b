"""Shared writers of reports: tables (CSV, Markdown and LaTeX) and figures."""
