"""`mien benchmark`: suites, workers, results, tables and figures."""
