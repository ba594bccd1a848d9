"""The training loop: from pre-trained weights to those of the best epoch, on one device or many.

Needs torch, transformers and accelerate only. Every step is a function of the seed and its number: its comments
(commentwise.training.finetune.batches), their dropout, the learning rate. So a run that was interrupted and resumed ends
with the same weights as one that was not, bit for bit on the same machine.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PreTrainedModel

from commentwise.errors import CommentwiseError
from commentwise.training.finetune.batches import Examples, MicroBatch, Rows, Steps, epoch_steps, evaluation_steps
from commentwise.training.finetune.checkpoints import Checkpoints
from commentwise.training.finetune.flops import peak_flops, training_flops
from commentwise.training.finetune.interrupt import Interrupt
from commentwise.training.finetune.learner import Learner
from commentwise.training.finetune.recipe import Recipe, learning_rate_factor
from commentwise.training.resources import Stopwatch, peak_resident_bytes
from commentwise.training.scores import macro_f1

LOG_EVERY = 10
"""Steps between two rows of the history. Reading the loss waits for the device, so not every step is logged."""

SPEEDS = ("comments_per_second", "tokens_per_second", "peak_memory_gb", "mfu")
"""Values of a row that differ between identical runs."""

Row = dict[str, Any]
"""A row of the history: step, epoch, and either loss, lr, comments and `SPEEDS`, or validation_macro_f1."""


@dataclass
class Progress:
    """The position and the history of a run, saved in its checkpoints beside the weights."""

    device_tokens: int
    step: int = 0
    """Steps done in all epochs."""
    epoch: int = 1
    """The current epoch, from 1."""
    epoch_step: int = 0
    """Steps done in the current epoch."""
    best_epoch: int = 0
    best_score: float = -1.0
    finished: bool = False
    history: list[Row] = field(default_factory=list)


class Trainer:
    """Trains a model for a number of epochs and keeps the best one; resumes an interrupted run."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: PreTrainedModel,
        recipe: Recipe,
        train: Examples,
        validation: Examples,
        watch: Callable[[Row], None] = lambda row: None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """`watch` is called with each row of the history. Without `checkpoints`, the run cannot resume."""
        self.accelerator = accelerator
        self.recipe = recipe
        self.progress = Progress(recipe.device_tokens)
        self._train, self._validation = train, validation
        self._watch, self._checkpoints = watch, checkpoints
        self._labels = int(model.config.num_labels)
        self._lengths = train.lengths
        self._plan_epoch()
        dtype = torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float32
        self._peak_flops = peak_flops(accelerator.device, dtype) * accelerator.num_processes
        self._flops_per_token = training_flops(model, self._lengths) / int(self._lengths.sum())
        self.learner = Learner(accelerator, model, recipe)
        self._best: dict[str, Tensor] = {}

    def fit(self) -> None:
        """Train the epochs that are left, and load the weights of the best one.

        Raises CommentwiseError when the loss is no longer finite. After SIGINT or SIGTERM, saves a checkpoint and ends
        the process.
        """
        self._restore()
        with Interrupt() as interrupt:
            while not self.progress.finished:
                try:
                    self._train_epoch(interrupt)
                except torch.OutOfMemoryError as error:
                    self._halve_device_tokens(error)
                else:
                    self._end_epoch()
        self.learner.load_weights(self._best)

    def logits(self, examples: Examples) -> NDArray[np.float64]:
        """Logits of the current weights, of shape (comments, labels), in the order of `examples`."""
        processes = self.accelerator.num_processes
        steps = evaluation_steps(examples.lengths, self.progress.device_tokens, processes)
        share = self._share(examples, steps)
        model = self.learner.model
        outputs = []
        model.eval()
        with torch.no_grad():
            for number, batches in enumerate(self._batches(share, 0, len(share))):
                for rows, batch in zip(share.rows(number), batches, strict=True):
                    outputs.append((rows, model(batch.documents).float()[: len(rows)]))
        logits = np.zeros((len(examples.rows), self._labels))
        for rows, values in gather_object([(rows, values.cpu().numpy()) for rows, values in outputs]):
            logits[rows] = values
        return logits

    def _plan_epoch(self) -> None:
        """Assign the comments to the steps of the current epoch."""
        self._steps = epoch_steps(
            self._lengths,
            self.recipe.step_tokens,
            self.recipe.seed,
            self.progress.epoch,
            by_length=self.accelerator.device.type == "cpu",
        )
        self._comments_per_step = len(self._lengths) / len(self._steps)
        self._losses = torch.zeros(len(self._steps), device=self.accelerator.device)

    def _train_epoch(self, interrupt: Interrupt) -> None:
        """Train to the end of the current epoch, with logging and checkpoints."""
        progress, steps = self.progress, self._steps
        start, stopwatch = progress.epoch_step, Stopwatch()
        self.learner.model.train()
        for batches in self._batches(self._share(self._train, steps), start, len(steps)):
            factor = self._learning_rate_factor(progress.epoch_step)
            loss = self.learner.step(batches, progress.step, factor, self._comments_per_step)
            self._losses[progress.epoch_step] = loss
            progress.step += 1
            progress.epoch_step += 1
            log = progress.epoch_step % LOG_EVERY == 0 or progress.epoch_step == len(steps)
            if log:
                self._log(start, stopwatch.seconds)
            # All processes must stop after the same step, and exchanging signals waits for the device.
            signal = self._shared_signal(interrupt.signal) if log or self.accelerator.num_processes == 1 else 0
            if signal or progress.step % self.recipe.checkpoint_steps == 0:
                self._save()
            if signal:
                interrupt.stop(signal)

    def _learning_rate_factor(self, epoch_step: int) -> float:
        """The factor of the peak learning rate in a step of the current epoch."""
        done = (self.progress.epoch - 1 + (epoch_step + 0.5) / len(self._steps)) / self.recipe.epochs
        return learning_rate_factor(done, self.recipe.warmup, self.recipe.schedule)

    def _share(self, examples: Examples, steps: Sequence[Rows]) -> Steps:
        """This process's share of the steps."""
        return Steps(
            examples,
            steps,
            self.accelerator.process_index,
            self.accelerator.num_processes,
            self.progress.device_tokens,
            fixed_shape=self.recipe.compile,
        )

    def _batches(self, steps: Steps, start: int, end: int) -> Iterator[list[MicroBatch]]:
        """The micro-batches of each step, on the device. For a GPU, a worker process prepares them ahead."""
        device = self.accelerator.device
        gpu = device.type == "cuda"
        sampler = range(start, end)
        for batches in DataLoader(steps, batch_size=None, sampler=sampler, num_workers=int(gpu), pin_memory=gpu):
            yield [batch.to(device, non_blocking=True) for batch in batches]

    def _log(self, start: int, seconds: float) -> None:
        """Record the mean loss since the last row, and the speed of the `seconds` since step `start` of the epoch."""
        progress, end = self.progress, self.progress.epoch_step
        first = (end - 1) // LOG_EVERY * LOG_EVERY
        losses = self.accelerator.reduce(self._losses[first:end].clone(), "sum").tolist()
        for number, loss in enumerate(losses, start=first):
            if not math.isfinite(loss):
                raise self._diverged(number, loss)
        weight = sum(float(self._train.weights[rows].sum()) for rows in self._steps[first:end])
        done = np.concatenate(self._steps[start:end])
        tokens = int(self._lengths[done].sum())
        comments = len(self._lengths) * (progress.epoch - 1) + sum(len(rows) for rows in self._steps[:end])
        self._record(
            {
                "step": progress.step,
                "epoch": progress.epoch,
                "loss": sum(losses) * self._comments_per_step / weight,
                "lr": self.recipe.learning_rate * self._learning_rate_factor(end - 1),
                "comments": comments,
                "comments_per_second": round(len(done) / seconds, 1),
                "tokens_per_second": round(tokens / seconds),
                "peak_memory_gb": round(_peak_memory(self.accelerator.device) / 1e9, 2),
                "mfu": round(tokens * self._flops_per_token / seconds / self._peak_flops, 4),
            }
        )

    def _diverged(self, epoch_step: int, loss: float) -> CommentwiseError:
        ids = [self._train.ids[row] for row in self._steps[epoch_step].tolist()]
        shown = ", ".join(ids[:20]) + (f" and {len(ids) - 20} more" if len(ids) > 20 else "")
        step = self.progress.step - self.progress.epoch_step + epoch_step + 1
        rate = self.recipe.learning_rate * self._learning_rate_factor(epoch_step)
        return CommentwiseError(
            f"the loss is {loss} at step {step} (learning rate {rate:.2e}; comments {shown}): "
            "lower families.bert.learning_rate, or set precision to fp32"
        )

    def _end_epoch(self) -> None:
        """Score the epoch, keep its weights if they are the best, and plan the next epoch or finish."""
        progress = self.progress
        with self.learner.ema.applied() if self.learner.ema else nullcontext():
            predictions = self.logits(self._validation).argmax(axis=1)
            score = macro_f1(self._validation.targets, predictions, self._labels)
            if score > progress.best_score:
                progress.best_epoch, progress.best_score = progress.epoch, score
                self._best = {name: weight.clone() for name, weight in self.learner.weights().items()}
        self._record({"step": progress.step, "epoch": progress.epoch, "validation_macro_f1": score})
        waited = progress.epoch - progress.best_epoch
        progress.finished = progress.epoch == self.recipe.epochs or 0 < self.recipe.patience <= waited
        progress.epoch, progress.epoch_step = progress.epoch + 1, 0
        if not progress.finished:
            self._plan_epoch()
        self._save()

    def _shared_signal(self, signal: int) -> int:
        """The signal that any of the processes received, 0 for none."""
        if self.accelerator.num_processes == 1:
            return signal
        return int(max(gather_object([signal])))

    def _halve_device_tokens(self, error: torch.OutOfMemoryError) -> None:
        """Continue from the current step with micro-batches of half the size; the summed gradients are the same."""
        progress = self.progress
        longest = int(self._lengths.max())
        if self.accelerator.num_processes > 1 or progress.device_tokens <= longest:
            raise CommentwiseError(
                f"out of memory with {progress.device_tokens} tokens at once: lower families.bert.device_tokens or max_tokens; "
                "the same command resumes from the last checkpoint"
            ) from error
        progress.device_tokens = max(progress.device_tokens // 2, longest)
        self.accelerator.print(f"out of memory: continuing with {progress.device_tokens} tokens at once", flush=True)
        self.learner.optimizer.zero_grad()
        if self.accelerator.device.type == "cuda":
            torch.cuda.empty_cache()

    def _record(self, row: Row) -> None:
        self.progress.history.append(row)
        self._watch(row)

    def _save(self) -> None:
        """Save everything that the next step depends on, and the best weights so far."""
        if self._checkpoints is None:
            return
        state = {
            "progress": asdict(self.progress),
            "losses": self.accelerator.reduce(self._losses.clone(), "sum").cpu(),
            "best": self._best,
            **self.learner.state_dict(),
        }
        if self.accelerator.is_main_process:
            self._checkpoints.save(state)
        self.accelerator.wait_for_everyone()

    def _restore(self) -> None:
        """Resume from the checkpoint of this run, if there is one."""
        state: dict[str, Any] = {}
        if self._checkpoints and self.accelerator.is_main_process:
            state = self._checkpoints.load()
        # The weights are sent to the other processes tensor by tensor, in `load_state_dict`.
        [sent] = broadcast_object_list([{name: state.get(name) for name in ("progress", "losses")}])
        if sent["progress"] is None:
            return
        self.progress = Progress(**sent["progress"])
        self._plan_epoch()
        # `_log` sums the losses of all processes, so only the first keeps the saved ones.
        self._losses.copy_(sent["losses"] * self.accelerator.is_main_process)
        self._best = state.get("best", {})
        self.learner.load_state_dict(state)
        self.accelerator.print(f"resuming after step {self.progress.step}", flush=True)
        for row in self.progress.history:
            self._watch(row)


def end_processes(accelerator: Accelerator) -> None:
    """End the process group. Call this once no variable refers to the trainer.

    Data parallelism holds the process group. If it is freed after the group, by garbage collection at exit, it can
    deadlock with a thread of gloo that waits for the GIL (https://github.com/pytorch/pytorch/issues/56297).
    """
    accelerator.free_memory()
    accelerator.end_training()


def _peak_memory(device: torch.device) -> int:
    """Peak memory in bytes: of the GPU, or of the process on a CPU."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else peak_resident_bytes()
