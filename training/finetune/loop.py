"""The training loop: from pre-trained weights to those of the best epoch, on one device or many.

Needs torch, transformers and accelerate only. Every step is a function of the seed and its number: which comments it
takes (commentwise.training.finetune.batches), their dropout, the learning rate. So a run that resumes ends with the weights of one that was
never stopped, bit for bit on the same machine.
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
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.nn import functional as F
from torch.utils.data import DataLoader
from transformers import PreTrainedModel

from commentwise.errors import CommentwiseError
from commentwise.models.encoders.classifier import classifier
from commentwise.training.finetune.batches import Examples, MicroBatch, Rows, Steps, epoch_steps, evaluation_steps
from commentwise.training.finetune.checkpoints import Checkpoints
from commentwise.training.finetune.flops import peak_flops, training_flops
from commentwise.training.finetune.interrupt import Interrupt
from commentwise.training.finetune.recipe import Average, Recipe, learning_rate_factor, parameter_groups
from commentwise.training.resources import Stopwatch, peak_resident_bytes
from commentwise.training.scores import macro_f1

LOG_EVERY = 10
"""Steps between two looks at the loss: each look waits for the device."""

SPEEDS = ("comments_per_second", "tokens_per_second", "peak_memory_gb", "mfu")
"""Values of a row that depend on the machine and the moment."""

Row = dict[str, Any]
"""What is recorded of a step: step, epoch, and either loss, lr, comments and `SPEEDS`, or validation_macro_f1."""


FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)


@dataclass
class Progress:
    """Where a run stands: what is saved of it beside the weights."""

    device_tokens: int
    step: int = 0
    epoch: int = 1
    """The pass that is under way, from 1."""
    place: int = 0
    """Steps done of it."""
    best_epoch: int = 0
    best_score: float = -1.0
    finished: bool = False
    history: list[Row] = field(default_factory=list)


class Trainer:
    """One model, its optimiser, and what happened so far."""

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
        """`watch` is called with each row of the history as it comes. With `checkpoints`, the run can resume."""
        self.accelerator = accelerator
        self.recipe = recipe
        self.progress = Progress(recipe.device_tokens)
        self._train, self._validation = train, validation
        self._watch, self._checkpoints = watch, checkpoints
        self._labels = int(model.config.num_labels)
        self._lengths = train.lengths
        self._begin_epoch()
        dtype = torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float32
        self._peak_flops = peak_flops(accelerator.device, dtype) * accelerator.num_processes
        self._flops_per_token = training_flops(model, self._lengths) / int(self._lengths.sum())
        wrapped = classifier(model, recipe.attention)
        if recipe.compile:
            wrapped.compile(dynamic=False)
        optimizer = torch.optim.AdamW(parameter_groups(model, recipe), lr=recipe.learning_rate, fused=True)
        self.model, self.optimizer = accelerator.prepare(wrapped, optimizer)
        self._average = Average(self.model, recipe.ema_decay) if recipe.ema_decay else None
        self._best: dict[str, Tensor] = {}

    def fit(self) -> None:
        """Train for all epochs, or what is left of them, and leave the model with the weights of the best one.

        Raises CommentwiseError when the loss is no longer finite. A signal ends it as it ends other programs, after the
        checkpoint is saved.
        """
        self._restore()
        with Interrupt() as interrupt:
            while not self.progress.finished:
                try:
                    self._train_epoch(interrupt)
                except torch.OutOfMemoryError as error:
                    self._take_less_at_once(error)
                else:
                    self._judge()
        self._load_weights(self._best)

    def logits(self, examples: Examples) -> NDArray[np.float64]:
        """Logits of shape (comments, labels), in the order of `examples`, by the current weights."""
        processes = self.accelerator.num_processes
        steps = evaluation_steps(examples.lengths, self.progress.device_tokens, processes)
        mine = self._share(examples, steps)
        answers = []
        self.model.eval()
        with torch.no_grad():
            for number, batches in enumerate(self._batches(mine, 0, len(mine))):
                for rows, batch in zip(mine.rows(number), batches, strict=True):
                    answers.append((rows, self.model(batch.documents).float()[: len(rows)]))
        logits = np.zeros((len(examples.rows), self._labels))
        for rows, values in gather_object([(rows, values.cpu().numpy()) for rows, values in answers]):
            logits[rows] = values
        return logits

    def encoder_weights(self) -> dict[str, Tensor]:
        """The weights by transformers' names, whole and on the CPU, for the first process; all have to ask."""
        return {name.removeprefix("model."): weight for name, weight in self._weights().items()}

    def leave_mixed_precision(self) -> None:
        """Predict in fp32 from here on, as the saved weights will be used."""
        self.model = self._unwrapped()

    def _unwrapped(self) -> Any:
        return self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)

    def _train_epoch(self, interrupt: Interrupt) -> None:
        """Train to the end of the present epoch, logging and saving on the way."""
        progress, steps = self.progress, self._steps
        begun, stopwatch = progress.place, Stopwatch()
        self.model.train()
        for batches in self._batches(self._share(self._train, steps), begun, len(steps)):
            self._step(batches)
            progress.step += 1
            progress.place += 1
            looks = progress.place % LOG_EVERY == 0 or progress.place == len(steps)
            if looks:
                self._log(begun, stopwatch.seconds)
            # All processes must stop at the same step, and asking each other waits for the device.
            stop = self._agreed(interrupt.signal) if looks or self.accelerator.num_processes == 1 else 0
            if stop or progress.step % self.recipe.checkpoint_steps == 0:
                self._save()
            if stop:
                interrupt.stop(stop)

    def _begin_epoch(self) -> None:
        """Decide on the steps of the epoch that is under way."""
        self._steps = epoch_steps(
            self._lengths,
            self.recipe.step_tokens,
            self.recipe.seed,
            self.progress.epoch,
            by_length=self.accelerator.device.type == "cpu",
        )
        self._comments_per_step = len(self._lengths) / len(self._steps)
        self._losses = torch.zeros(len(self._steps), device=self.accelerator.device)

    def _step(self, batches: list[MicroBatch]) -> None:
        """One step of the optimiser, on micro-batches whose gradients add up."""
        place = self.progress.place
        factor = self._learning_rate_factor(place)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        torch.manual_seed(self._dropout_seed())
        self._losses[place] = 0
        for batch in batches[:-1]:
            with self.accelerator.no_sync(self.model):
                self._backward(batch)
        self._backward(batches[-1])
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self._average:
            self._average.update(self.progress.step)

    def _backward(self, batch: MicroBatch) -> None:
        """Add a micro-batch's gradient to the step's.

        A step's loss is the sum over its comments, divided by how many comments steps have on average. So a comment
        counts the same whatever it shares a step with, and neither micro-batches nor processes change the sum.
        """
        logits = self.model(batch.documents).float()
        losses = F.cross_entropy(logits, batch.targets, label_smoothing=self.recipe.label_smoothing, reduction="none")
        loss = (losses * batch.weights).sum() / self._comments_per_step
        self._losses[self.progress.place] += loss.detach()
        # Data parallelism takes the mean of the processes' gradients, and this is a sum.
        self.accelerator.backward(loss * self.accelerator.num_processes)

    def _learning_rate_factor(self, place: int) -> float:
        """Of the step at `place` in the present epoch."""
        done = (self.progress.epoch - 1 + (place + 0.5) / len(self._steps)) / self.recipe.epochs
        return learning_rate_factor(done, self.recipe.warmup, self.recipe.schedule)

    def _dropout_seed(self) -> int:
        state = np.random.SeedSequence((self.recipe.seed, self.progress.step, self.accelerator.process_index))
        return int(state.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def _share(self, examples: Examples, steps: Sequence[Rows]) -> Steps:
        """What this process computes of each step."""
        return Steps(
            examples,
            steps,
            self.accelerator.process_index,
            self.accelerator.num_processes,
            self.progress.device_tokens,
            fixed_shape=self.recipe.compile,
        )

    def _batches(self, steps: Steps, begin: int, end: int) -> Iterator[list[MicroBatch]]:
        """The micro-batches of each step on the device; a GPU's are made ahead, by a process of their own."""
        device = self.accelerator.device
        gpu = device.type == "cuda"
        sampler = range(begin, end)
        for batches in DataLoader(steps, batch_size=None, sampler=sampler, num_workers=int(gpu), pin_memory=gpu):
            yield [batch.to(device, non_blocking=True) for batch in batches]

    def _log(self, begun: int, seconds: float) -> None:
        """Record the loss of the steps since the last look, and the speed since the epoch's step `begun`."""
        progress, place = self.progress, self.progress.place
        first = (place - 1) // LOG_EVERY * LOG_EVERY
        losses = self.accelerator.reduce(self._losses[first:place].clone(), "sum").tolist()
        for number, loss in enumerate(losses, start=first):
            if not math.isfinite(loss):
                raise self._diverged(number, loss)
        weight = sum(float(self._train.weights[rows].sum()) for rows in self._steps[first:place])
        done = np.concatenate(self._steps[begun:place])
        tokens = int(self._lengths[done].sum())
        comments = len(self._lengths) * (progress.epoch - 1) + sum(len(rows) for rows in self._steps[:place])
        self._record(
            {
                "step": progress.step,
                "epoch": progress.epoch,
                "loss": sum(losses) * self._comments_per_step / weight,
                "lr": self.recipe.learning_rate * self._learning_rate_factor(place - 1),
                "comments": comments,
                "comments_per_second": round(len(done) / seconds, 1),
                "tokens_per_second": round(tokens / seconds),
                "peak_memory_gb": round(_peak_memory(self.accelerator.device) / 1e9, 2),
                "mfu": round(tokens * self._flops_per_token / seconds / self._peak_flops, 4),
            }
        )

    def _diverged(self, place: int, loss: float) -> CommentwiseError:
        ids = [self._train.ids[row] for row in self._steps[place].tolist()]
        shown = ", ".join(ids[:20]) + (f" and {len(ids) - 20} more" if len(ids) > 20 else "")
        step = self.progress.step - self.progress.place + place + 1
        rate = self.recipe.learning_rate * self._learning_rate_factor(place)
        return CommentwiseError(
            f"the loss is {loss} at step {step} (learning rate {rate:.2e}; comments {shown}): "
            "lower families.bert.learning_rate, or set precision to fp32"
        )

    def _judge(self) -> None:
        """At the end of an epoch: score it, keep it if it is the best, and decide whether to go on."""
        progress = self.progress
        with self._average.applied() if self._average else nullcontext():
            answers = self.logits(self._validation).argmax(axis=1)
            score = macro_f1(self._validation.targets, answers, self._labels)
            if score > progress.best_score:
                progress.best_epoch, progress.best_score = progress.epoch, score
                self._best = {name: weight.clone() for name, weight in self._weights().items()}
        self._record({"step": progress.step, "epoch": progress.epoch, "validation_macro_f1": score})
        waited = progress.epoch - progress.best_epoch
        progress.finished = progress.epoch == self.recipe.epochs or 0 < self.recipe.patience <= waited
        progress.epoch, progress.place = progress.epoch + 1, 0
        if not progress.finished:
            self._begin_epoch()
        self._save()

    def _agreed(self, signal: int) -> int:
        """The signal that any process was sent, known to all."""
        if self.accelerator.num_processes == 1:
            return signal
        return int(max(gather_object([signal])))

    def _take_less_at_once(self, error: torch.OutOfMemoryError) -> None:
        """Go on from the present step with half the tokens at once; the gradients add up to the same."""
        progress = self.progress
        longest = int(self._lengths.max())
        if self.accelerator.num_processes > 1 or progress.device_tokens <= longest:
            raise CommentwiseError(
                f"out of memory with {progress.device_tokens} tokens at once: lower families.bert.device_tokens or max_tokens; "
                "the same command goes on from the last checkpoint"
            ) from error
        progress.device_tokens = max(progress.device_tokens // 2, longest)
        self.accelerator.print(f"out of memory: going on with {progress.device_tokens} tokens at once", flush=True)
        self.optimizer.zero_grad()
        if self.accelerator.device.type == "cuda":
            torch.cuda.empty_cache()

    def _record(self, row: Row) -> None:
        self.progress.history.append(row)
        self._watch(row)

    def _weights(self) -> dict[str, Any]:
        return get_model_state_dict(self.model, options=FULL)

    def _load_weights(self, weights: dict[str, Any]) -> None:
        set_model_state_dict(self.model, weights, options=self._from_first_process())

    def _from_first_process(self) -> StateDictOptions:
        return StateDictOptions(full_state_dict=True, broadcast_from_rank0=self.accelerator.num_processes > 1)

    def _save(self) -> None:
        """Write down everything that the next step depends on, and the best weights so far."""
        if self._checkpoints is None:
            return
        state = {
            "progress": asdict(self.progress),
            "losses": self.accelerator.reduce(self._losses.clone(), "sum").cpu(),
            "model": self._weights(),
            "optimizer": get_optimizer_state_dict(self.model, self.optimizer.optimizer, options=FULL),
            "best": self._best,
        }
        if self._average:
            with self._average.applied():
                state["average"] = {name: weight.clone() for name, weight in self._weights().items()}
        if self.accelerator.is_main_process:
            self._checkpoints.save(state)
        self.accelerator.wait_for_everyone()

    def _restore(self) -> None:
        """Go on from the checkpoint of this run, if there is one."""
        state: dict[str, Any] = {}
        if self._checkpoints and self.accelerator.is_main_process:
            state = self._checkpoints.load()
        # The other processes get the weights tensor by tensor.
        small = [{name: state.get(name) for name in ("progress", "losses")}]
        [told] = broadcast_object_list(small)
        if told["progress"] is None:
            return
        self.progress = Progress(**told["progress"])
        self._begin_epoch()
        # Processes add up what they remember: the first remembers for all.
        self._losses.copy_(told["losses"] * self.accelerator.is_main_process)
        self._best = state.get("best", {})
        if self._average:
            self._load_weights(state.get("average", {}))
            self._average.copy()
        self._load_weights(state.get("model", {}))
        set_optimizer_state_dict(
            self.model, self.optimizer.optimizer, state.get("optimizer", {}), options=self._from_first_process()
        )
        self.accelerator.print(f"going on after step {self.progress.step}", flush=True)
        for row in self.progress.history:
            self._watch(row)


def end_processes(accelerator: Accelerator) -> None:
    """Let the processes of a run part, once no variable names its trainer any more.

    Data parallelism holds the process group. Freed after the group, in garbage collection at exit, it can wait for ever
    for a thread of gloo that waits for Python (https://github.com/pytorch/pytorch/issues/56297).
    """
    accelerator.free_memory()
    accelerator.end_training()


def _peak_memory(device: torch.device) -> int:
    """Bytes: of the device where it has memory of its own, else of the process."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else peak_resident_bytes()
