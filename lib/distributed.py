"""Several processes that compute one call together, on one GPU each.

    accelerate launch --multi_gpu --num_processes 4 mine.py

starts four processes of a script that calls `recurse`. Each fits, samples and scores everything; of every batch in
training each takes its part, and gradients are averaged. The first process alone writes checkpoints and shows progress,
and the others find on disk what it found: else some would wait for ever for the rest.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    import torch


def size() -> int:
    """How many processes there are; 1 if none has been launched beside this one."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def first() -> bool:
    """Whether this process is the one that writes."""
    return size() == 1 or int(os.environ["RANK"]) == 0


def device() -> torch.device:
    """The device that this process of several was given."""
    return _state().device


def agreed(value: Any) -> Any:
    """What the first process found, in all of them; each waits here for the first."""
    if size() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    _state()
    held = [value]
    broadcast_object_list(held)
    return held[0]


def _state():
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def progress(total: int, wanted: bool | None) -> tqdm:
    """The bar of a call with so many fits, where it is wanted (None: where it takes more than three seconds)."""
    stream = _terminal()
    return tqdm(
        total=total,
        unit="fit",
        file=stream,
        disable=wanted is False or not first(),
        delay=0 if wanted else 3,
        mininterval=0.1 if stream.isatty() else 10,
        leave=False,
    )


def _terminal():
    """The stderr of the process and not the outputs that a notebook stores: a Jupyter kernel keeps a copy of its file
    descriptor; Colab shows nothing but sys.stderr."""
    kept = getattr(sys.stderr, "_original_stdstream_copy", None)
    if "google.colab" in sys.modules:
        return sys.stderr
    return sys.__stderr__ if kept is None else open(kept, "w", closefd=False)
