"""`mien benchmark`: suites, runs, results, tables and figures."""
