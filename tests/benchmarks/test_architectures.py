"""The architectures benchmark: an encoder is served, another is refused with its reason, and the table shows both."""

from benchmarks.result import read_result
from benchmarks.training.architectures import DOCUMENT, END, RESULT, START, run, table
from benchmarks.training.result import ArchitecturesResult


def test_a_row_tells_what_was_served_and_a_failure_why_not() -> None:
    served, refused = run(["bert", "xlnet"])
    assert "reason" not in served
    assert served["dropped"] == {}
    assert {"fp32.onnx", "int8.onnx", "fp16.onnx"} <= set(served["variants"])
    assert served["logit_difference"] < 1e-4
    assert served["served_agreement"] > 0.9
    assert served["test_macro_f1"] > 0.9
    assert "reason" in refused
    assert refused["stage"] == "check"
    lines = table([served, refused])
    assert lines[2].startswith("| bert | packed |")
    assert lines[-1] == f"| xlnet | padded | check | {refused['reason']} |"


def test_the_documented_table_is_that_of_the_result() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text[text.index(START) + len(START) : text.index(END)]
    assert section.strip().splitlines() == table(read_result(ArchitecturesResult, RESULT)["architectures"])
