"""The benchmarks' report: one module per group of questions, and the pages they stand on."""
