"""Keep a dataset's frames in memory while stock `lerobot-train` reads them.

To make one item, LeRobot decodes an image for every step of the action chunk, and uses one of them.
For a small model, that takes longer than the training step. Here, every image is decoded once. The
items are the same, bit for bit.
"""

from __future__ import annotations

from typing import Any

import datasets
import torch
from lerobot.datasets.dataset_reader import DatasetReader
from torch import Tensor

BYTE = 255


class Column:
    """A column of numbers, by a row or by a list of rows, as LeRobot asks for an action chunk."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def row(self, row: int) -> Tensor:
        """The value of a row."""
        return self.values[row]

    def __getitem__(self, rows: list[int]) -> list[Tensor]:
        """The values of these rows."""
        return [self.row(row) for row in rows]


class ImageColumn(Column):
    """A column of images, which are decoded when they are first read."""

    def __init__(self, stored: Any, name: str) -> None:
        self.stored, self.name = stored, name
        self.decoded: dict[int, Tensor] = {}

    def row(self, row: int) -> Tensor:
        """The image of a row, F32 in [0, 1]."""
        if row not in self.decoded:
            image: Tensor = self.stored[row][self.name]
            self.decoded[row] = (image * BYTE).round().to(torch.uint8)
        return self.decoded[row].float().div(BYTE)


class FramesInMemory:
    """The rows of a dataset. What is not rows is left to the dataset on disk."""

    def __init__(self, stored: Any) -> None:
        self.stored = stored
        images = [
            name for name, feature in stored.features.items() if isinstance(feature, datasets.Image)
        ]
        numbers = stored.remove_columns(images).with_format("numpy")[:]
        self.columns = {name: Column(torch.from_numpy(values)) for name, values in numbers.items()}
        self.columns |= {name: ImageColumn(stored, name) for name in images}

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.stored)

    def __getitem__(self, wanted: Any) -> Any:
        """A row by its number, or a column by its name."""
        if isinstance(wanted, str):
            return self.columns[wanted]
        return {name: column.row(wanted) for name, column in self.columns.items()}

    def __getattr__(self, name: str) -> Any:
        """What the dataset on disk has beside its rows."""
        return getattr(self.stored, name)


def install() -> None:
    """Let every LeRobotDataset of this process keep its frames in memory."""
    load = DatasetReader._load_hf_dataset  # noqa: SLF001 - the one place where rows are opened

    def load_into_memory(reader: DatasetReader) -> FramesInMemory:
        return FramesInMemory(load(reader))

    DatasetReader._load_hf_dataset = load_into_memory  # noqa: SLF001 - as above
