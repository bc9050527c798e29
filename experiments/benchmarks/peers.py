"""Calls the other libraries in the way that their own code does.

RecBole's and irspack's classes are used as they are; the code around them
(reading files, data loaders, loggers) is left out, which favours them. The
libraries are imported only when they are used.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from hyperrec.data import interactions as interactions_lib

Csr = scipy.sparse.csr_matrix
Interactions = interactions_lib.Interactions
ScoreFn = Callable[[np.ndarray], np.ndarray]

PACKAGES = (
  'torch', 'recbole', 'irspack', 'implicit', 'transformers', 'pandas',
)  # fmt: skip


def has(package: str) -> bool:
  """Whether a package can be imported."""
  return importlib.util.find_spec(package) is not None


def versions() -> dict[str, str]:
  """Returns the versions of the installed peers."""
  return {p: importlib.metadata.version(p) for p in PACKAGES if has(p)}


class _Config(dict):
  """The part of a RecBole Config that its classes read."""

  device = 'cpu'


class _Dataset:
  """The part of a RecBole data set that its EASE reads."""

  def __init__(self, data: Interactions):
    self._data = data

  def num(self, field: str) -> int:
    return {'user': self._data.num_users, 'item': self._data.num_items}[field]

  def inter_matrix(self, form: str) -> Csr:
    del form
    return self._data.csr()


def recbole_ease(data: Interactions, l2: float) -> Callable[[], np.ndarray]:
  """Returns a function that fits RecBole's EASE and returns its B [V, V]."""
  from recbole.model.general_recommender import ease

  config = _Config(
    USER_ID_FIELD='user',
    ITEM_ID_FIELD='item',
    NEG_PREFIX='neg_',
    reg_weight=l2,
    device='cpu',
  )
  return lambda: ease.EASE(config, _Dataset(data)).item_similarity


def irspack_ease(data: Interactions, l2: float) -> Callable[[], np.ndarray]:
  """Returns a function that fits irspack's EASE and returns its B [V, V]."""
  from irspack import DenseSLIMRecommender

  x_UxV = data.csr()
  return lambda: DenseSLIMRecommender(x_UxV, reg=l2).learn().W


def recbole_evaluate(
  score_fn: ScoreFn,
  seen: Csr,
  targets: Csr,
  cutoffs: Sequence[int],
  batch_size: int,
) -> dict[str, float]:
  """Full-sort evaluation with RecBole's Collector and Evaluator.

  The batch is scored, masked and collected as its Trainer does.
  """
  import torch
  from recbole.evaluator import Collector, Evaluator

  if 'float' not in vars(np):
    np.float = np.float64  # RecBole 1.2.1's own alias, gone from NumPy 2.
  config = _Config(
    metrics=['Recall', 'NDCG', 'Hit'],
    topk=list(cutoffs),
    metric_decimal_place=12,
    eval_args={'mode': 'full'},
    device='cpu',
  )
  collector = Collector(config)
  for start in range(0, seen.shape[0], batch_size):
    rows = np.arange(start, min(start + batch_size, seen.shape[0]))
    scores = torch.from_numpy(score_fn(rows))
    scores[_index(seen[rows])] = -np.inf
    collector.eval_batch_collect(scores, None, *_index(targets[rows]))
  found = Evaluator(config).evaluate(collector.get_data_struct())
  return {name.replace('hit', 'hr'): float(v) for name, v in found.items()}


def _index(rows: Csr) -> tuple[Any, Any]:
  import torch

  row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
  return torch.from_numpy(row), torch.from_numpy(rows.indices.astype(np.int64))


def irspack_evaluate(
  score_fn: ScoreFn,
  seen: Csr,
  targets: Csr,
  cutoffs: Sequence[int],
  batch_size: int,
) -> dict[str, float]:
  """Evaluation of score blocks with irspack's Evaluator, on all cores."""
  from irspack import Evaluator

  evaluator = Evaluator(targets, masked_interactions=seen)
  starts = range(0, seen.shape[0], batch_size)
  blocks = (
    score_fn(np.arange(start, min(start + batch_size, seen.shape[0])))
    for start in starts
  )
  found = evaluator.get_scores_from_score_chunks(blocks, list(cutoffs))
  return {name.replace('hit', 'hr'): float(v) for name, v in found.items()}


def torch_mult_vae_step(num_items: int, beta: float) -> Callable[[Any], Any]:
  """Returns a train step of Mult-VAE (Liang et al., 2018): x [B, V] -> loss."""
  import torch
  from torch.nn import functional

  torch.manual_seed(0)
  encoder = torch.nn.Sequential(
    torch.nn.Linear(num_items, 600), torch.nn.Tanh(), torch.nn.Linear(600, 400)
  )
  decoder = torch.nn.Sequential(
    torch.nn.Linear(200, 600), torch.nn.Tanh(), torch.nn.Linear(600, num_items)
  )
  parameters = [*encoder.parameters(), *decoder.parameters()]
  adam = torch.optim.Adam(parameters, lr=1e-3, fused=True)

  def step(x):
    adam.zero_grad()
    mean, logvar = encoder(functional.dropout(functional.normalize(x))).chunk(
      2, dim=-1
    )
    z = mean + torch.randn_like(mean) * torch.exp(0.5 * logvar)
    nll = -(functional.log_softmax(decoder(z), -1) * x).sum(-1).mean()
    kl = 0.5 * (mean**2 + logvar.exp() - logvar - 1).sum(-1).mean()
    loss = nll + beta * kl
    loss.backward()
    adam.step()
    return float(loss.detach())

  return step
