"""The report of the benchmarks: its chapters, its pages, and the comparison of two runs."""
