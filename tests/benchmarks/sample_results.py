"""Invented results of every benchmark."""

from benchmarks.engines.result import Batch, Engine, EnginesResult, Model
from benchmarks.latency import Latency
from benchmarks.report.result_files import Results
from benchmarks.result import Environment, Git, Machine, Rounds
from benchmarks.scale.result import Footprint, FootprintResult, ScaleResult, Scored, Trained
from benchmarks.servers.result import ClosedLoop, OpenLoop, Server, ServingResult, measured_servers
from benchmarks.training.result import TrainingResult

MACHINE: Machine = {"processor": "Sample CPU", "cores": 2}
ENVIRONMENT: Environment = {
    "python": "3.11.7",
    "system": "Linux x86_64",
    "packages": {"torch": "2.13.0", "onnxruntime": "1.32"},
}
GIT: Git = {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": []}


def rounds(value: float) -> list[float]:
    """Three rounds within 4% of a value, which is their median."""
    return [value, round(0.97 * value, 3), round(1.04 * value, 3)]


def latency(median: float) -> Latency:
    """Percentiles that grow from a median."""
    return {"p50": median, "p95": 2 * median, "p99": 3 * median, "p99.9": 3.5 * median}


def engine(
    runtime: str, precision: str, speed: float, f1_loss: float = 0.0, share: float | None = None, alike: bool = True
) -> Engine:
    """An engine that is fastest in batches of 8."""
    gains = {"1": 0.8, "8": 1.0, "32": 0.95, "128": 0.9}
    batches: dict[str, Batch] = {
        size: {
            "comments_per_second": gain * speed,
            "rounds": rounds(gain * speed),
            "latency_ms": latency(2000 * int(size) / speed),
            "cpu_ms_per_comment": 2000 / speed,
            "neighbour_label_changes": 0 if alike else 12,
            "neighbour_shift": 0.0 if alike else 0.2,
        }
        for size, gain in gains.items()
    }
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
        "ece": 0.03,
        "macro_f1": {"value": 0.78 - f1_loss, "low": 0.76 - f1_loss, "high": 0.8 - f1_loss},
        "batches": batches,
        "best": "8",
        "share_of_peak": share,
    }


def model(score: float, speed: float, size: int, parameters: int) -> Model:
    """A model with an interval of two points on both sides."""
    return {
        "macro_f1": {"value": score, "low": score - 0.02, "high": score + 0.02},
        "ece": 0.031,
        "comments_per_second": speed,
        "rounds": rounds(speed),
        "size": size,
        "parameters": parameters,
    }


def engines() -> EnginesResult:
    """Nine engines, one of them missing; ONNX Runtime int8 is served."""
    cascade = engine("ONNX Runtime", "int8", 1040, 0.004)
    cascade["cascade"] = {"linear": "svm", "threshold": 0.81, "share_answered_by_linear": 0.52, "limit": 0.005}
    return {
        "command": "python -m benchmarks.engines",
        "machine": MACHINE,
        "environment": ENVIRONMENT,
        "git": GIT,
        "seed": 7,
        "rounds": 3,
        "seconds": 2.0,
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
            "logreg": model(0.68, 9000.0, 1_200_000, 202_411),
            "svm": model(0.69, 9400.0, 1_200_000, 202_411),
            "bert": model(0.784, 96.0, 90_900_000, 22_714_371),
            "bert, int8": model(0.782, 454.0, 23_200_000, 22_714_371),
            "cascade": model(0.78, 1040.0, 24_400_000, 22_916_782),
        },
    }


def server(speed: float, engine_beside: float, memory: float, open_rates: tuple[float, ...] = ()) -> Server:
    """A server that is fastest with 32 connections, and refuses the requests beyond its peak."""
    gains = {"1": 0.5, "8": 0.9, "32": 1.0, "128": 0.98}
    closed: dict[str, ClosedLoop] = {
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
    }
    return {
        "what": "the sample model",
        "labels_alike": 1.0,
        "labels_compared": 200,
        "peak_per_second": speed,
        "closed": closed,
        "engine_beside": engine_beside,
        "share_of_engine": speed / engine_beside,
        "open": [open_round(speed, share, memory) for share in open_rates],
    }


def open_round(peak: float, share: float, memory: float) -> OpenLoop:
    """All requests are answered up to the peak; beyond it, the excess is refused."""
    answered = min(1.0, 1 / share)
    return {
        "rate_over_peak": share,
        "rate": share * peak,
        "goodput_over_peak": share * answered,
        "status_shares": {"200": answered, "429": 1 - answered} if answered < 1 else {"200": answered},
        "due": 1000,
        "statuses": {"200": round(1000 * answered)},
        "lost": 0,
        "refused": 0,
        "unanswered": 0,
        "accepted_per_second": share * peak * answered,
        "good_per_second": share * peak * answered,
        "latency_ms": latency(20 if share < 1 else 400 * share),
        "sent_late_ms": latency(0.1),
        "generator_cpu_us_per_request": 200.0,
        "server_cpu_ms_per_request": 2000 / peak,
        "server_memory_mb": memory,
    }


def serving() -> ServingResult:
    """Ours and four peers, one of them missing."""
    rates = (0.5, 0.8, 1.0, 1.5, 3.0)
    return {
        "command": "python -m benchmarks.servers",
        "machine": MACHINE,
        "environment": ENVIRONMENT,
        "git": GIT,
        "bundle": {"id": "0123", "family": "bert", "graph": "int8.onnx", "max_tokens": 128},
        "seed": 7,
        "seconds": 2.0,
        "repeats": 3,
        "comments": {
            "file": "comments.csv",
            "count": 1024,
            "seed": 20,
            "mean_tokens": 36.4,
            "median_tokens": 27.0,
            "longest_tokens": 128,
        },
        "engine": {"comments_per_second": 400.0, "cpu_ms_per_comment": 5.0, "latency_ms": latency(5.0), "rounds": []},
        "servers": {
            "commentwise": server(320.0, 400.0, 271.0, rates),
            "LitServe, plain": server(90.0, 400.0, 260.0, rates),
            "FastAPI + transformers": server(40.0, 400.0, 810.0, rates),
            "infinity": server(160.0, 400.0, 465.0, rates),
            "mlflow models serve": {"what": "pyfunc", "missing": "pip cannot install it here\nmore lines"},
        },
    }


def training() -> TrainingResult:
    """Our loop next to the two others."""
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


def scale() -> ScaleResult:
    """Files of a thousand to a million comments."""
    scoring: list[Scored] = [
        {
            "model": name,
            "comments": count,
            "seconds": 1 + count / speed,
            "peak_memory_mb": round(150 + count / 1e5),
            "comments_per_second": count / (1 + count / speed),
        }
        for name, speed, power in (("svm", 9000, 6), ("bert", 450, 4))
        for count in [10**exponent for exponent in range(3, power + 1)]
    ]
    training: list[Trained] = [
        {"family": family, "comments": count, "seconds": base + count / speed}
        for family, base, speed in (("bert", 2, 70), ("logreg", 1, 4000))
        for count in (250, 500, 1000, 2000)
    ]
    return {
        "command": "python -m benchmarks.scale",
        "machine": MACHINE,
        "environment": ENVIRONMENT,
        "git": GIT,
        "seed": 7,
        "rounds": 3,
        "seconds": 2.0,
        "budget_seconds": 60,
        "scoring": [*scoring, {"model": "bert", "comments": 100_000, "left_out": "it would take about 226 s, and the budget is 60"}],
        "training": [*training],
        "workers": [
            {"workers": count, "threads": 1, "requests_per_second": speed, "rounds": rounds(speed), "memory_mb": 190 * count}
            for count, speed in ((1, 150.0), (2, 290.0))
        ],
    }  # fmt: skip


def footprint() -> FootprintResult:
    """Ours and three peers, one of them missing."""

    def facts(imports: float, ready: float, memory: float, install: float, packages: int) -> Footprint:
        return {
            "import_seconds": Rounds(value=imports, rounds=rounds(imports)),
            "ready_seconds": Rounds(value=ready, rounds=rounds(ready)),
            "memory_mb": memory,
            "install_mb": install,
            "packages": packages,
        }

    return {
        "command": "python -m benchmarks.scale.footprint",
        "machine": MACHINE,
        "environment": ENVIRONMENT,
        "git": GIT,
        "rounds": 3,
        "servers": {
            "commentwise": facts(0.6, 1.4, 271.0, 249.0, 40),
            "FastAPI + transformers": facts(6.1, 9.0, 803.0, 1100.0, 62),
            "infinity": facts(8.4, 14.0, 464.0, 1900.0, 110),
            "mlflow models serve": {"missing": "pip cannot install it here"},
        },
        "extras": {"serve": 249.0, "train": 2400.0},
    }


def everything() -> Results:
    """All results by stem."""
    return {
        "engines": engines(),
        "serving": serving(),
        "training": training(),
        "scale": scale(),
        "footprint": footprint(),
    }


def measured_server(result: ServingResult, name: str) -> Server:
    """A server of a result that was measured."""
    return measured_servers(result["servers"])[name]


def slower(result: ServingResult, share: float) -> None:
    """Multiply the speed of our server by `share`."""
    ours = measured_server(result, "commentwise")
    ours["peak_per_second"] *= share
    for loop in ours["closed"].values():
        loop["requests_per_second"] *= share
        loop["rounds"] = [share * speed for speed in loop["rounds"]]
