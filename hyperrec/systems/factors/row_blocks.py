"""Blocks of the rows of a sparse matrix, worked on by several threads.

Rows of similar lengths are padded to the same length, so that a block of them
is one dense array and its products are batched.
"""

import concurrent.futures
import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse
import threadpoolctl
from jaxtyping import Float, Int

Csr = scipy.sparse.csr_matrix

_WORKERS = min(4, os.cpu_count() or 1)
# Numbers of a block that one thread works on at a time: many enough that Python
# takes little of the time, and few enough for the cache.
_NUMBERS = 2**19
# Scorers are called from several threads, and the number of threads of BLAS,
# which `workers` sets, is one for the whole process.
_ONE_AT_A_TIME = threading.Lock()


class Block(NamedTuple):
  """Rows that are worked on together.

  Attributes:
    rows: their numbers.
    columns: the columns of their entries; N stands at the places beyond a row's
      length.
  """

  rows: Int[np.ndarray, ' B']
  columns: Int[np.ndarray, 'B L']


class Blocks(NamedTuple):
  """The rows of a binary matrix X [M, N].

  Attributes:
    lengths: entries of each row.
    num_columns: N.
    blocks: all rows; the longest come first, so that threads end together.
  """

  lengths: Int[np.ndarray, ' M']
  num_columns: int
  blocks: list[Block]


def of(x: Csr, dim: int) -> Blocks:
  """Returns the rows of X in blocks.

  Args:
    x: [M, N], binary.
    dim: numbers that the work on a block has for each of its entries.
  """
  lengths = np.diff(x.indptr)
  padded = padded_lengths(lengths)
  blocks = []
  for length in np.unique(padded)[::-1].tolist():
    rows = np.flatnonzero(padded == length)
    size = max(1, _NUMBERS // (dim * length))
    parts = (rows[start : start + size] for start in range(0, len(rows), size))
    blocks += [Block(part, _columns(x, part, length)) for part in parts]
  return Blocks(lengths, x.shape[1], blocks)


@contextlib.contextmanager
def workers() -> Iterator[concurrent.futures.Executor]:
  """Threads for blocks; while they are there, BLAS has one thread for each.

  The matrices of blocks are too small for more. What is computed here does not
  depend on what other threads do.
  """
  with (
    _ONE_AT_A_TIME,
    _thread_pools().limit(limits=1, user_api='blas'),
    concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool,
  ):
    yield pool


def parts(matrix: Float[np.ndarray, 'N D']) -> list[Float[np.ndarray, 'n D']]:
  """Rows of a dense matrix, in parts that one thread works on at a time."""
  size = max(1, _NUMBERS // matrix.shape[1])
  starts = range(0, max(1, len(matrix)), size)
  return [matrix[start : start + size] for start in starts]


@functools.cache
def _thread_pools() -> threadpoolctl.ThreadpoolController:
  """The libraries with threads of their own that are loaded by now."""
  return threadpoolctl.ThreadpoolController()


def padded_lengths(lengths: Int[np.ndarray, ' M']) -> Int[np.ndarray, ' M']:
  """The length that each row is padded to.

  It depends on the row's own length alone, so that what is computed for a row
  does not depend on the other rows. Padding adds less than a quarter, and from
  a length of 64 on less than an eighth.
  """
  octave = 2 ** np.floor(np.log2(np.maximum(lengths, 1))).astype(np.int64)
  step = np.maximum(np.where(octave < 64, octave // 4, octave // 8), 1)
  return -(-np.maximum(lengths, 1) // step) * step


def _columns(
  x: Csr, rows: Int[np.ndarray, ' B'], length: int
) -> Int[np.ndarray, 'B L']:
  """The columns of some rows of X; N beyond the length of a row."""
  first_Bx1, last_Bx1 = x.indptr[rows, None], x.indptr[rows + 1, None]
  place_BxL = first_Bx1 + np.arange(length, dtype=first_Bx1.dtype)
  if not x.nnz:
    return np.full(place_BxL.shape, x.shape[1], np.int32)
  shown_BxL = x.indices.take(place_BxL, mode='clip')
  return np.where(place_BxL < last_Bx1, shown_BxL, x.shape[1])
