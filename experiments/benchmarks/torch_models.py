"""SASRec and T5 in PyTorch, equal to the networks of hyperrec."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hyperrec.nn import t5_layers
from hyperrec.systems.sequential import sasrec

# The default of Flax.
_EPSILON = 1e-6


class Block(nn.Module):
  """A block of `sequential_recommender.SASRec`."""

  def __init__(self, dim: int, num_heads: int, hidden_dim: int, dropout: float):
    super().__init__()
    self.query_norm = nn.LayerNorm(dim, eps=_EPSILON)
    self.net_norm = nn.LayerNorm(dim, eps=_EPSILON)
    self.query, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
    self.key_value = nn.Linear(dim, 2 * dim)
    self.expand = nn.Linear(dim, hidden_dim)
    self.contract = nn.Linear(hidden_dim, dim)
    self.num_heads, self.dropout = num_heads, dropout

  def forward(self, x, allowed):
    """Updates x [B, L, D]; allowed [B, 1, L, L] is the mask of attention."""
    rate = self.dropout if self.training else 0.0
    q = self.query_norm(x)
    heads = lambda y: y.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # noqa: E731
    k, v = self.key_value(x).chunk(2, dim=-1)
    mixed = functional.scaled_dot_product_attention(
      heads(self.query(q)), heads(k), heads(v), allowed, dropout_p=rate
    )
    x = self.net_norm(q + self.out(mixed.transpose(1, 2).flatten(2)))
    hidden = functional.dropout(functional.relu(self.expand(x)), rate)
    return x + functional.dropout(self.contract(hidden), rate)


class SASRec(nn.Module):
  """The network of `sequential_recommender.SASRec`, and its loss."""

  def __init__(
    self, num_items: int, config: sasrec.SasrecConfig, dropout: float
  ):
    super().__init__()
    self.items = nn.Parameter(torch.empty(num_items, config.dim))
    self.places = nn.Parameter(torch.empty(config.length, config.dim))
    for table in (self.items, self.places):
      nn.init.xavier_normal_(table)
    sizes = config.dim, config.num_heads, config.hidden_ratio * config.dim
    self.blocks = nn.ModuleList(
      Block(*sizes, dropout) for _ in range(config.num_layers)
    )
    self.norm = nn.LayerNorm(config.dim, eps=_EPSILON)
    self.dropout = dropout

  def forward(self, inputs, targets, segments, places):
    """The mean -log softmax of the targets, without padding."""
    x = functional.embedding(inputs, self.items)
    x = x + functional.embedding(places, self.places)
    x = functional.dropout(x, self.dropout, self.training)
    same = segments[:, :, None] == segments[:, None, :]
    allowed = (same & (segments[:, None, :] > 0)).tril()
    # Padding attends to itself: the softmax of nothing is not a number.
    allowed |= torch.eye(inputs.shape[1], dtype=torch.bool)
    for block in self.blocks:
      x = block(x, allowed[:, None])
    hidden, is_real = self.norm(x).flatten(0, 1), segments.flatten() > 0
    nll = functional.cross_entropy(
      hidden @ self.items.T, targets.flatten(), reduction='none'
    )
    return torch.where(is_real, nll, 0).sum() / is_real.sum()

  def set_params(self, params: Any) -> None:
    """Takes over parameters of hyperrec."""
    block = lambda i: params[f'block_{i}']  # noqa: E731
    with torch.no_grad():
      _copy(self.items, params['items'])
      _copy(self.places, params['places'])
      _norm(self.norm, params['norm'])
      for i, own in enumerate(self.blocks):
        attention = block(i)['attention']
        _norm(own.query_norm, block(i)['query_norm'])
        _norm(own.net_norm, block(i)['net_norm'])
        _dense(own.query, attention['query'])
        _dense(own.out, attention['out'])
        _dense(own.key_value, attention['key'], attention['value'])
        _dense(own.expand, block(i)['expand'])
        _dense(own.contract, block(i)['contract'])


def _copy(own, *values) -> None:
  own.copy_(torch.from_numpy(np.concatenate(values)))


def _norm(own, params) -> None:
  _copy(own.weight, params['scale'])
  _copy(own.bias, params['bias'])


def _dense(own, *params) -> None:
  _copy(own.weight, *(np.asarray(part['kernel']).T for part in params))
  _copy(own.bias, *(part['bias'] for part in params))


def t5(config: t5_layers.T5Config) -> nn.Module:
  """The T5 of transformers, which has no whole-word embeddings."""
  import transformers

  return transformers.T5ForConditionalGeneration(
    transformers.T5Config(
      vocab_size=config.vocab_size,
      d_model=config.d_model,
      d_kv=config.d_kv,
      d_ff=config.d_ff,
      num_layers=config.num_layers,
      num_decoder_layers=config.num_decoder_layers,
      num_heads=config.num_heads,
      dropout_rate=config.dropout_rate,
      layer_norm_epsilon=config.layer_norm_epsilon,
      use_cache=False,
    )
  )


def t5_loss(model: nn.Module, batch: Any) -> torch.Tensor:
  """The loss of `p5.training`: tokens are averaged within each answer first."""
  logits = model(
    input_ids=batch.tokens,
    attention_mask=batch.mask,
    decoder_input_ids=batch.inputs,
  ).logits
  nll = functional.cross_entropy(
    logits.transpose(1, 2), batch.targets, reduction='none'
  )
  count = batch.target_mask.sum(dim=1)
  return (torch.where(batch.target_mask, nll, 0).sum(dim=1) / count).mean()


def num_parameters(model: nn.Module) -> int:
  """The number of trained numbers; shared ones count once."""
  return sum(p.numel() for p in model.parameters())


def step(
  model: nn.Module, loss_fn: Callable[[Any], torch.Tensor], lr: float
) -> Callable[[Any], float]:
  """Returns a training step by the fused Adam: batch -> loss."""
  model.train()
  adam = torch.optim.Adam(model.parameters(), lr=lr, fused=True)

  def train(batch):
    adam.zero_grad()
    loss = loss_fn(batch)
    loss.backward()
    adam.step()
    return float(loss.detach())

  return train
