"""What reads a grid, such as an image, and answers every place of it."""

import abc

from torch import Tensor, cat
from torch.nn import functional
from typing_extensions import override

from training.cell import Whole


class Field(Whole, abc.ABC):
    """A grid's rows are its steps, all of one width, and each row's length is the height of its grid.

    Attributes:
        input_size: the width of a training grid; any is read.
        output_size: features of a place, of which networks that go to the right put out the first half, and those that
            go to the left the second.
        patch: numbers of a row that are read together, as one place.
    """

    across = "width"
    patch: int

    @abc.abstractmethod
    def field(self, xs: Tensor, lengths: Tensor) -> Tensor:
        """Answer every patch, `[batch, height, width]` to `[batch, height, patches, output_size]`.

        Zeros fill the last patch of a row.
        """

    def patches(self, xs: Tensor) -> Tensor:
        """Cut rows, `[batch, height, width]` to `[batch, height, patches, patch]`."""
        rows, height = xs.shape[:2]
        return functional.pad(xs, (0, -xs.shape[2] % self.patch)).view(rows, height, -1, self.patch)

    @override
    def read(self, xs: Tensor, lengths: Tensor) -> Tensor:
        """Answer every row by what each network has put out at its end of it."""
        field, half = self.field(xs, lengths), self.output_size // 2
        return cat([field[:, :, -1, :half], field[:, :, 0, half:]], -1)
