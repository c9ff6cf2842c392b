"""Where jobs run: `jobs.run_jobs`, here or on a cluster. `jobs.ENGINES` is the table of places."""
