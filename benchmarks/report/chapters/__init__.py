"""The chapters of the report, each answering some of its questions from result files."""
