"""Users through a sequential network, with others of about their length.

So few shapes are ever compiled, and little padding is computed.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from hyperrec import method as method_lib
from hyperrec.data import sequences

Histories = method_lib.Histories


def last_hidden(
  network: Callable[
    [Int[np.ndarray, 'N L'], Int[np.ndarray, ' N']], np.ndarray
  ],
  histories: Histories,
  length: int,
  dim: int,
) -> tuple[Float[np.ndarray, 'B D'], np.ndarray]:
  """What a network says after the last item of each history.

  Args:
    network: (items from position 0 on, how many of each) -> [N, D]. N is a
      power of two and L one of `sequences.buckets`.
    histories: of B users.
    length: the longest that counts; of a longer one the last items.
    dim: D.

  Returns:
    float32 [B, D], zeros where nothing was shown, and bool [B], True there.
  """
  items_BxL, sizes_B = sequences.last_items(
    histories.items, histories.mask, length
  )
  hidden_BxD = np.zeros((len(items_BxL), dim), np.float32)
  shorter = 0
  for longest in sequences.buckets(length):
    users = np.flatnonzero((sizes_B > shorter) & (sizes_B <= longest))
    shorter = longest
    if len(users):
      padding = (1 << (len(users) - 1).bit_length()) - len(users)
      rows = np.concatenate([users, np.repeat(users[:1], padding)])
      hidden = network(items_BxL[rows, :longest], sizes_B[rows])
      hidden_BxD[users] = np.asarray(hidden)[: len(users)]
  return hidden_BxD, sizes_B == 0
