"""Computes scores from the tensors of each kind of recommender."""

import pathlib
from collections.abc import Callable

import numpy as np
import scipy.sparse

from hyperrec import padding, ranker

ExportError = ranker.RecommenderError

KINDS = ('popularity', 'dense', 'sparse', 'factored', 'subset', 'network')
# Names of the tensors and their numbers of axes, for all kinds except networks.
# `systems.linear.weights_program` makes the programs of the same kinds.
_AXES = {
  'popularity': {'counts': 1},
  'dense': {'weights': 2},
  'sparse': {'data': 1, 'indices': 1, 'indptr': 1},
  'factored': {'left': 2, 'right': 2, 'diagonal': 1},
  'subset': {'weights': 2, 'items': 1},
}
# Histories of at most this many items are padded to it.
_SHORTEST = 32
# Histories of B users, as lists of item numbers -> scores [B, V].
Score = Callable[[list[list[int]]], np.ndarray]


def check(
  kind: str,
  tensors: dict[str, np.ndarray],
  num_items: int,
  folder: pathlib.Path,
) -> None:
  """Checks that the tensors can score a catalogue.

  Args:
    kind: one of `KINDS`.
    tensors: name -> array.
    num_items: V.
    folder: folder of the recommender, for the error message.

  Raises:
    ExportError: the kind is unknown, a tensor holds NaN or infinity, or names
      or shapes do not match the kind (for networks, see `network`).
  """
  if kind not in KINDS:
    raise ExportError(f'kind={kind!r} is unknown; use one of {KINDS}')
  for name, tensor in tensors.items():
    is_float = np.issubdtype(np.asarray(tensor).dtype, np.floating)
    if is_float and not np.isfinite(tensor).all():
      raise ExportError(
        f'{folder}: tensor {name} holds NaN or infinity, as after a training '
        'that diverged; train it again'
      )
  if kind == 'network':
    return
  axes = {name: np.ndim(tensor) for name, tensor in tensors.items()}
  if axes != _AXES[kind] or not _fit_catalogue(kind, tensors, num_items):
    shapes = {name: np.shape(tensor) for name, tensor in tensors.items()}
    raise ExportError(
      f'{folder}: tensors {shapes} are not those of kind {kind!r} and '
      f'{num_items} items; export it again'
    )


def _fit_catalogue(
  kind: str, tensors: dict[str, np.ndarray], size: int
) -> bool:
  """Whether shapes and item numbers match a catalogue of `size` items."""
  shape = {name: tensor.shape for name, tensor in tensors.items()}
  if kind == 'popularity':
    return shape['counts'] == (size,)
  if kind == 'dense':
    return shape['weights'] == (size, size)
  if kind == 'factored':
    rank = shape['left'][1]
    want = {'left': (size, rank), 'right': (rank, size), 'diagonal': (size,)}
    return shape == want
  if kind == 'subset':
    return shape['weights'] == shape['items'] * 2 and _are_places(
      tensors['items'], size
    )
  ends = tensors['indptr']
  return bool(
    shape['data'] == shape['indices']
    and shape['indptr'] == (size + 1,)
    and _are_places(tensors['indices'], size)
    and _are_places(ends, shape['data'][0] + 1)
    and (ends[0], ends[-1]) == (0, shape['data'][0])
    and (np.diff(ends) >= 0).all()
  )


def _are_places(tensor: np.ndarray, size: int) -> bool:
  is_whole = np.issubdtype(tensor.dtype, np.integer)
  return is_whole and bool(((tensor >= 0) & (tensor < size)).all())


def linear(kind: str, tensors: dict[str, np.ndarray], num_items: int) -> Score:
  """Returns the scorer x W of 0/1 histories x and weights W [V, V].

  For the kind 'popularity', the scores of all users are the item counts.
  """

  def score(histories: list[list[int]]) -> np.ndarray:
    if kind == 'popularity':
      counts = tensors['counts']
      return np.broadcast_to(counts, (len(histories), num_items))
    rows = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    columns = np.array([i for h in histories for i in h], np.int64)
    x_BxV = scipy.sparse.csr_matrix(
      (np.ones(len(rows), np.float32), (rows, columns)),
      shape=(len(histories), num_items),
    )
    x_BxV.data[:] = 1
    return _product(kind, x_BxV, tensors)

  return score


def _product(kind, x_BxV, tensors) -> np.ndarray:
  if kind == 'dense':
    return x_BxV @ tensors['weights']
  if kind == 'factored':
    out = (x_BxV @ tensors['left']) @ tensors['right']
    row = np.repeat(np.arange(x_BxV.shape[0]), np.diff(x_BxV.indptr))
    out[row, x_BxV.indices] += tensors['diagonal'][x_BxV.indices]
    return out
  if kind == 'subset':
    out = np.zeros(x_BxV.shape, tensors['weights'].dtype)
    chosen = tensors['items']
    out[:, chosen] = x_BxV[:, chosen] @ tensors['weights']
    return out
  size = x_BxV.shape[1]
  parts = tensors['data'], tensors['indices'], tensors['indptr']
  return (x_BxV @ scipy.sparse.csr_matrix(parts, (size, size))).toarray()


def network(
  program: bytes,
  tensors: dict[str, np.ndarray],
  length: int | None,
  num_items: int,
  path: pathlib.Path,
) -> Score:
  """Returns a scorer that runs an exported program.

  Users with histories of similar length are scored together. Their number, and
  their longest history, are padded to powers of two, to limit compilations.

  Args:
    program: a serialized `jax.export`.
    tensors: the tensors that the program reads.
    length: number of last history items that the program reads; None reads all.
    num_items: V.
    path: path of the program, for the error message.

  Raises:
    ExportError: the program cannot be read, or it expects other tensors,
      another length or another catalogue.
  """
  import jax  # Linear kinds are scored without JAX.
  import jax.export

  try:
    exported = jax.export.deserialize(bytearray(program))
    (wanted, items, _), _ = jax.tree.unflatten(
      exported.in_tree, exported.in_avals
    )
    width, scored = items.shape[1], exported.out_avals[0].shape[-1]
  except Exception as error:  # The reader of the format raises many types.
    raise ExportError(
      f'{path} is no program that this version of JAX reads ({error!r}); '
      'export it again'
    ) from error
  found = {name: (t.shape, str(t.dtype)) for name, t in tensors.items()}
  if found != {name: (t.shape, str(t.dtype)) for name, t in wanted.items()}:
    raise ExportError(
      f'{path} reads other tensors than there are ({sorted(found)}); export it '
      'again'
    )
  if scored != num_items:
    raise ExportError(
      f'{path} scores {scored} items of a catalogue of {num_items}; export it '
      'again'
    )
  # If a program reads histories of any length, its width is a symbol.
  reads = width if isinstance(width, int) else None
  if reads != length:
    raise ExportError(
      f'{path} reads histories of {reads or "any number of"} items, but the '
      f'length in the description is {length}; export it again'
    )
  call = jax.jit(exported.call)
  held = jax.device_put(tensors)

  def score(histories: list[list[int]]) -> np.ndarray:
    kept = [h if length is None else h[-length:] for h in histories]
    widths = [length or padding.power_of_two(len(h), _SHORTEST) for h in kept]
    scores = np.empty((len(kept), num_items), np.float32)
    for width in set(widths):
      users = [user for user, own in enumerate(widths) if own == width]
      shape = padding.power_of_two(len(users)), width
      items, mask = np.zeros(shape, np.int32), np.zeros(shape, bool)
      for row, user in enumerate(users):
        items[row, : len(kept[user])] = kept[user]
        mask[row, : len(kept[user])] = True
      scores[users] = np.asarray(call(held, items, mask))[: len(users)]
    return scores

  return score
