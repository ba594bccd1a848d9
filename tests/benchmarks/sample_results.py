"""Made-up result files of every benchmark, in the form in which the benchmarks write them."""

from typing import Any

HEAD: dict[str, Any] = {
    "machine": {"processor": "Sample CPU", "cores": 2},
    "environment": {
        "python": "3.11.7",
        "system": "Linux x86_64",
        "packages": {"torch": "2.13.0", "onnxruntime": "1.32"},
    },
    "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": []},
    "seed": 7,
    "rounds": 3,
    "seconds": 2.0,
}


def rounds(value: float) -> list[float]:
    """Three rounds within 4% of a value, which is their median."""
    return [value, round(0.97 * value, 3), round(1.04 * value, 3)]


def latency(middle: float) -> dict[str, float]:
    """Percentiles that grow from a median."""
    return {"p50": middle, "p95": 2 * middle, "p99": 3 * middle, "p99.9": 3.5 * middle}


def engine(
    runtime: str, precision: str, speed: float, f1_loss: float = 0.0, share: float | None = None, alike: bool = True
) -> dict[str, Any]:
    """An engine that is a little faster in batches of 8 than alone, and less so in larger ones."""
    gains = {"1": 0.8, "8": 1.0, "32": 0.95, "128": 0.9}
    return {
        "runtime": runtime,
        "precision": precision,
        "what": f"{precision} in {runtime}",
        "size": 23_203_160 if precision == "int8" else 90_869_492,
        "quality": {
            "macro_f1": 0.78 - f1_loss,
            "f1_loss": f1_loss,
            "agreement": 1 - 2 * abs(f1_loss),
            "largest_difference": 0.1,
            "neighbour_label_changes": 0 if alike else 12,
            "neighbour_shift": 0.0,
        },
        "batches": {
            size: {
                "comments_per_second": gain * speed,
                "rounds": rounds(gain * speed),
                "latency_ms": latency(2000 * int(size) / speed),
                "cpu_ms_per_comment": 2000 / speed,
                "neighbour_label_changes": 0 if alike else 12,
                "neighbour_shift": 0.0 if alike else 0.2,
            }
            for size, gain in gains.items()
        },
        "best": "8",
        "share_of_peak": share,
    }  # fmt: skip


def model(score: float, speed: float, size: float, parameters: int) -> dict[str, Any]:
    """A model with an interval of two points on both sides."""
    return {
        "macro_f1": {"value": score, "low": score - 0.02, "high": score + 0.02},
        "ece": 0.031,
        "comments_per_second": speed,
        "rounds": rounds(speed),
        "size": size,
        "parameters": parameters,
    }


def engines() -> dict[str, Any]:
    """Nine engines, of which one is missing; ONNX Runtime int8 is served."""
    cascade = engine("ONNX Runtime", "int8", 1040, 0.004) | {
        "cascade": {"threshold": 0.81, "share_answered_by_linear": 0.52, "limit": 0.005}
    }
    return HEAD | {
        "command": "python -m benchmarks.engines",
        "model": {"family": "bert", "checkpoint": "embedded", "labels": ["no", "yes"], "parameters": 22_714_371},
        "data": "data/prepared",
        "comments": {"test": 300, "timed": 300, "mean_tokens": 37.2, "median_tokens": 27, "longest_tokens": 128},
        "peak": {
            "fp32_gflops": {"value": 210.0, "rounds": rounds(210.0)},
            "bf16_gflops": {"value": 640.0, "rounds": rounds(640.0)},
            "int8_gops": {"value": 1000.0, "rounds": rounds(1000.0)},
        },
        "operations_per_comment": 1e9,
        "engines": {
            "transformers pipeline": engine("torch", "fp32", 68, 0.0, 0.32),
            "torch, sorted by length": engine("torch", "fp32", 96, 0.0, 0.46),
            "torch bf16": engine("torch", "bf16", 231, -0.0008, 0.36),
            "ONNX Runtime fp32": engine("ONNX Runtime", "fp32", 150, 0.0, 0.71),
            "ONNX Runtime fp32, optimised": engine("ONNX Runtime", "fp32", 176, 0.0, 0.84),
            "ONNX Runtime int8": engine("ONNX Runtime", "int8", 454, 0.0019, 0.454),
            "ONNX Runtime int8, dynamic": engine("ONNX Runtime", "int8", 470, 0.0064, 0.47, alike=False),
            "OpenVINO int8": {"missing": "pip install openvino nncf"},
            "cascade": cascade,
        },
        "served": "ONNX Runtime int8",
        "pipeline": "transformers pipeline",
        "models": {
            "logreg": model(0.68, 9000.0, 1.2e6, 202_411),
            "svm": model(0.69, 9400.0, 1.2e6, 202_411),
            "bert": model(0.784, 96.0, 90.9e6, 22_714_371),
            "bert, int8": model(0.782, 454.0, 23.2e6, 22_714_371),
            "cascade": model(0.78, 1040.0, 24.4e6, 22_916_782),
        },
    }


def server(speed: float, engine_beside: float, memory: float, open_rates: tuple[float, ...] = ()) -> dict[str, Any]:
    """A server that is busiest at 32 connections, and answers what it can of what is asked."""
    gains = {"1": 0.5, "8": 0.9, "32": 1.0, "128": 0.98}
    return {
        "what": "the sample model",
        "labels_alike": 1.0,
        "labels_compared": 200,
        "peak_per_second": speed,
        "closed": {
            connections: {
                "requests_per_second": gain * speed,
                "rounds": rounds(gain * speed),
                "latency_ms": latency(1000 * int(connections) / speed),
                "statuses": {"200": 900},
                "lost": 0,
                "refused": 0,
                "unanswered": 0,
                "server_cpu_ms_per_request": 2000 / speed,
                "server_memory_mb": memory,
                "generator_cpu_us_per_request": 200.0,
            }
            for connections, gain in gains.items()
        },
        "engine_beside": engine_beside,
        "share_of_engine": speed / engine_beside,
        "open": [open_round(speed, share) for share in open_rates],
    }


def open_round(peak: float, share: float) -> dict[str, Any]:
    """All is answered up to the peak; beyond it, what is too much is refused."""
    answered = min(1.0, 1 / share)
    return {
        "rate_over_peak": share,
        "rate": share * peak,
        "goodput_over_peak": share * answered,
        "status_shares": {"200": answered} | ({"429": 1 - answered} if answered < 1 else {}),
        "due": 1000,
        "statuses": {"200": 1000 * answered},
        "lost": 0,
        "refused": 0,
        "unanswered": 0,
        "accepted_per_second": share * peak * answered,
        "good_per_second": share * peak * answered,
        "latency_ms": latency(20 if share < 1 else 400 * share),
    }


def serving() -> dict[str, Any]:
    """Ours and four peers, of which one is missing and one failed."""
    rates = (0.5, 0.8, 1.0, 1.5, 3.0)
    return HEAD | {
        "command": "python -m benchmarks.servers",
        "repeats": 3,
        "comments": {"file": "comments.csv", "count": 1024, "seed": 20, "mean_tokens": 36.4},
        "engine": {"comments_per_second": 400.0, "cpu_ms_per_comment": 5.0, "latency_ms": latency(5.0), "rounds": []},
        "servers": {
            "commentwise": server(320.0, 400.0, 271.0, rates),
            "LitServe, plain": server(90.0, 400.0, 260.0, rates),
            "FastAPI + transformers": server(40.0, 400.0, 810.0, rates),
            "infinity": server(160.0, 400.0, 465.0, rates),
            "mlflow models serve": {"what": "pyfunc", "missing": "pip cannot install it here\nmore lines"},
        },
    }


def training() -> dict[str, Any]:
    """Our trainer next to the two others."""
    return {
        "command": "python -m benchmarks.training",
        "machine": {"device": "Sample CPU", "cores": 2, "python": "3.11.7"},
        "versions": {"torch": "2.13.0"},
        "comments": {"count": 1000, "epochs": 1, "mean_tokens": 34.2},
        "seed": 0,
        "contenders": {
            "commentwise": {"comments_per_second": 80.0, "range": [78.0, 83.0], "mfu": 0.46, "test_macro_f1": None},
            "trainer, defaults": {
                "comments_per_second": 16.0,
                "range": [15.5, 16.2],
                "mfu": 0.09,
                "test_macro_f1": None,
            },
            "trainer, tuned": {"comments_per_second": 50.0, "range": [49.0, 51.0], "mfu": 0.3, "test_macro_f1": None},
        },
        "ratios": {"trainer, defaults": 5.0, "trainer, tuned": 1.6},
    }


def scale() -> dict[str, Any]:
    """Files of a thousand to a million comments."""
    return HEAD | {
        "command": "python -m benchmarks.scale",
        "scoring": [
            {"model": name, "comments": count, "seconds": 1 + count / speed, "peak_memory_mb": 150 + count / 1e5, "comments_per_second": count / (1 + count / speed)}
            for name, speed, most in (("svm", 9000, 6), ("bert", 450, 4))
            for count in (10**power for power in range(3, most + 1))
        ] + [{"model": "bert", "comments": 100_000, "left_out": "it would take about 226 s, and the budget is 60"}],
        "training": [
            {"family": family, "comments": count, "seconds": base + count / speed}
            for family, base, speed in (("bert", 2, 70), ("logreg", 1, 4000))
            for count in (250, 500, 1000, 2000)
        ],
        "workers": [
            {"workers": count, "requests_per_second": speed, "rounds": rounds(speed), "memory_mb": 190 * count}
            for count, speed in ((1, 150.0), (2, 290.0))
        ],
    }  # fmt: skip


def footprint() -> dict[str, Any]:
    """Ours and three peers, of which one is missing."""

    def facts(imports: float, ready: float, memory: float, install: float, packages: int) -> dict[str, Any]:
        return {
            "import_seconds": {"value": imports, "rounds": rounds(imports)},
            "ready_seconds": {"value": ready, "rounds": rounds(ready)},
            "memory_mb": memory,
            "install_mb": install,
            "packages": packages,
        }

    return HEAD | {
        "command": "python -m benchmarks.scale.footprint",
        "servers": {
            "commentwise": facts(0.6, 1.4, 271.0, 249.0, 40),
            "FastAPI + transformers": facts(6.1, 9.0, 803.0, 1100.0, 62),
            "infinity": facts(8.4, 14.0, 464.0, 1900.0, 110),
            "mlflow models serve": {"missing": "pip cannot install it here"},
        },
        "extras": {"serve": 249.0, "train": 2400.0},
    }


def everything() -> dict[str, Any]:
    """All results by stem."""
    return {
        "engines": engines(),
        "serving": serving(),
        "training": training(),
        "scale": scale(),
        "footprint": footprint(),
    }
