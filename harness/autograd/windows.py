"""Where a sliding window fits on an image, and the padding around it: for conv and pools."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.autograd.errors import ShapeError

Pair = int | tuple[int, int]


def as_pair(value: Pair) -> tuple[int, int]:
    """3 -> (3, 3): one number stands for both axes."""
    return (value, value) if isinstance(value, int) else value


@dataclass(frozen=True)
class Windows:
    """The geometry of one window op; every field is (vertical, horizontal)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    out: tuple[int, int]

    @classmethod
    def fit(
        cls, op: str, image: tuple[int, ...], kernel: tuple[int, int], stride: Pair, padding: Pair
    ) -> Windows:
        """Count the windows: H' = (H + 2 padding - K) // stride + 1.

        `image` is the shape (N, C, H, W). Raises ShapeError when no window fits.
        """
        steps, border = as_pair(stride), as_pair(padding)
        if len(image) != 4:
            raise ShapeError(f"{op}: expected images of shape (N, C, H, W), got {image}")
        if min(steps) < 1 or min(border) < 0 or min(kernel) < 1:
            raise ShapeError(
                f"{op}: kernel {kernel} and stride {steps} must be at least 1, "
                f"padding {border} at least 0"
            )
        height, width = (
            (image[2 + axis] + 2 * border[axis] - kernel[axis]) // steps[axis] + 1
            for axis in (0, 1)
        )
        if height < 1 or width < 1:
            raise ShapeError(
                f"{op}: a {kernel} window does not fit on {image[2:]} with padding {border}"
            )
        return cls(kernel, steps, border, (height, width))

    @property
    def overlap(self) -> bool:
        """Whether a number of the image may stand in several windows."""
        return self.stride[0] < self.kernel[0] or self.stride[1] < self.kernel[1]

    def tile(self, padded: tuple[int, ...]) -> bool:
        """Whether every number of padded images, (..., H, W), stands in just one window."""
        covered = tuple(count * size for count, size in zip(self.out, self.kernel, strict=True))
        return self.stride == self.kernel and covered == padded[-2:]

    def pad(self, x: np.ndarray, value: float = 0.0) -> np.ndarray:
        """`x` with a border of `value` around its last two axes; `x` itself without padding."""
        if self.padding == (0, 0):
            return x
        padded = self.blank(x, x.shape, value)
        self.crop(padded)[...] = x
        return padded

    def blank(self, like: np.ndarray, shape: tuple[int, ...], value: float) -> np.ndarray:
        """Padded images full of `value`, for images of `shape` (N, C, H, W), batch last."""
        count, channels, height, width = shape
        (top, left) = self.padding
        padded = np.full_like(
            like, value, shape=(channels, height + 2 * top, width + 2 * left, count), order="C"
        )
        return padded.transpose(3, 0, 1, 2)

    def crop(self, padded: np.ndarray) -> np.ndarray:
        """Take the border off again."""
        (top, left), (height, width) = self.padding, padded.shape[-2:]
        return padded[..., top : height - top, left : width - left]


def batch_last(images: np.ndarray) -> np.ndarray:
    """The same (N, C, H, W) images with the batch running fastest in memory.

    A window's neighbour is then a whole batch away, so that copying or adding all numbers
    at one place of all windows runs along contiguous stretches instead of short rows.
    """
    if images.strides[0] == images.itemsize:
        return images
    return images.transpose(1, 2, 3, 0).copy().transpose(3, 0, 1, 2)
