"""Runs jobs on this machine or on a cluster. See `jobs.run_jobs`; `jobs.ENGINES` lists the engines."""
