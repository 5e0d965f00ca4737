r"""The recurrent Jacobian ds_{t+1}/ds_t along real sequences: its eigenvalues and its spectral radius.

Deep Learning, section 10.7: a component along an eigenvector whose eigenvalue is below one in size fades, one above
grows. Of a large state ARPACK finds the largest eigenvalues from products with vectors alone (Lehoucq, Sorensen and
Yang, "ARPACK users' guide", 1998).
"""

from collections.abc import Callable

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from training.diagnosis.band import Band, band
from training.diagnosis.flat import Flat, Place
from training.diagnosis.walk import Walk

# A state of more numbers has its Jacobian in products with vectors alone.
BOUND = 256
PLACES, PLACES_OF_LARGE = 128, 12
AT_ONCE = 16
# Of the places so many have their eigenvalues kept, or a file would be full of them.
KEPT = 16
LARGEST, KRYLOV, RESTARTS, TOLERANCE = 6, 40, 10, 1e-3

Product = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Spectrum(msgspec.Struct, frozen=True):
    """The spectral radius over so many steps, and the eigenvalues at some; `whole` says whether a step has them all."""

    radius: Band
    eigenvalues: list[tuple[float, float]]
    places: int
    whole: bool


def spectrum(walk: Walk, random: np.random.Generator) -> Spectrum:
    """Measure at steps drawn from the sequences."""
    whole = walk.flat.size <= BOUND
    found = (_whole if whole else _largest)(walk, random)
    radii = torch.tensor([float(np.abs(one).max()) for one in found], dtype=torch.float64)
    values = [(float(value.real), float(value.imag)) for one in found[:KEPT] for value in one]
    return Spectrum(band(radii), values, len(found), whole)


def _whole(walk: Walk, random: np.random.Generator) -> list[NDArray[np.complex128]]:
    rows, t = walk.places(PLACES, random)
    pieces = zip(torch.split(rows, AT_ONCE), torch.split(t, AT_ONCE), strict=True)
    found = [torch.linalg.eigvals(walk.flat.jacobian(walk.at(*piece))) for piece in pieces]
    return list(torch.cat(found).numpy())


def _largest(walk: Walk, random: np.random.Generator) -> list[NDArray[np.complex128]]:
    rows, t = walk.places(PLACES_OF_LARGE, random)
    begin = random.standard_normal(walk.flat.size)
    return [largest_eigenvalues(walk.flat, walk.at(*one), begin) for one in zip(rows[:, None], t[:, None], strict=True)]


def largest_eigenvalues(flat: Flat, at: Place, begin: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Give the largest eigenvalues at one place; where they do not settle, those that did, or the largest found.

    Args:
        flat: the step.
        at: the place, of one row.
        begin: the vector of the first product, `[size]`.
    """

    def product(v: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(flat.forward(at, torch.from_numpy(v.reshape(1, -1).copy()))[0].detach().numpy())

    jacobian = LinearOperator((flat.size, flat.size), matvec=product, dtype=np.float64)
    try:
        found = eigs(
            jacobian, LARGEST, ncv=KRYLOV, v0=begin, maxiter=RESTARTS, tol=TOLERANCE, return_eigenvectors=False
        )
    except ArpackNoConvergence as error:
        found = error.eigenvalues if len(error.eigenvalues) else np.array([_by_norm(product, begin)], complex)
    return np.asarray(found, np.complex128)


def _by_norm(product: Product, v: NDArray[np.float64]) -> float:
    """Give how much the last of many products stretches, which tends to the radius."""
    stretch = 0.0
    for _ in range(KRYLOV):
        v = product(v / np.linalg.norm(v))
        stretch = float(np.linalg.norm(v))
        if not stretch:
            break
    return stretch
