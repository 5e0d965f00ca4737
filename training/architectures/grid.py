r"""Four networks over a grid, such as an image: down and up its columns, and then to the right and to the left.

    x_{i,j}                                               numbers that lie side by side in row i: a patch
    d_{i,j} = f(d_{i-1,j}, x_{i,j})                       down every column, from its first row
    u_{i,j} = f'(u_{i+1,j}, x_{i,j})                      up it, from its last
    v_{i,j} = [d_{i,j}, u_{i,j}]
    r_{i,j} = g(r_{i,j-1}, v_{i,j})                       to the right along every row
    l_{i,j} = g'(l_{i,j+1}, v_{i,j})                      to the left
    O_{i,j} = [r_{i,j}, l_{i,j}]                          which has seen the whole grid
    o_i = [r_{i,last}, l_{i,1}]                           a row's answer

Visin et al., "ReNet: a recurrent neural network based alternative to convolutional networks", 2015, equations 1 to 4,
with patches that are one number high. Deep Learning, section 10.3, whose last paragraph has four networks over a grid.
"""

from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from training.architectures.bidirectional import Bidirectional
from training.architectures.fields import Field


@final
class Grid(Field):
    """Two layers of two networks.

    Args:
        vertical: reads columns of patches, and puts both directions side by side.
        horizontal: reads rows of what that puts out.
        input_size: the width of a training grid; any is read.
    """

    def __init__(self, vertical: Bidirectional, horizontal: Bidirectional, input_size: int) -> None:
        super().__init__()
        self.vertical = vertical
        self.horizontal = horizontal
        self.patch = vertical.input_size
        self.input_size = input_size
        self.output_size = horizontal.output_size

    @override
    def field(self, xs: Tensor, lengths: Tensor) -> Tensor:
        patches = self.patches(xs)
        rows, height, width = patches.shape[:3]
        columns = patches.transpose(1, 2).reshape(rows * width, height, self.patch)
        v = self.vertical.read(columns, lengths.repeat_interleave(width)).view(rows, width, height, -1)
        lines = v.transpose(1, 2).reshape(rows * height, width, -1)
        whole = torch.full((rows * height,), width, device=xs.device)
        return self.horizontal.read(lines, whole).view(rows, height, width, -1)
