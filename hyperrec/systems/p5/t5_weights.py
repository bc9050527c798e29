"""Reads the parameters of T5 from files of Hugging Face."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import numpy as np

from hyperrec.nn import weights
from hyperrec.systems.p5 import t5

# Some files also hold these copies of the shared embeddings.
_COPIES = (
  'encoder.embed_tokens.weight',
  'decoder.embed_tokens.weight',
  'lm_head.weight',
)
_PARTS = {
  'query': 'q',
  'key': 'k',
  'value': 'v',
  'out': 'o',
  'expand': 'wi',
  'contract': 'wo',
}


def parse_config(
  values: Mapping[str, Any], *, num_whole_words: int = 0
) -> t5.T5Config:
  """Reads the configuration in a config.json.

  Args:
    values: values of the file by name.
    num_whole_words: number of whole-word embeddings, which the file does not
      state.

  Raises:
    ValueError: the file is not that of a T5 of version 1.0 (ReLU, tied
      embeddings), or a size is missing or is not a positive number.
  """
  for name, known in (
    ('model_type', 't5'),
    ('feed_forward_proj', 'relu'),
    ('tie_word_embeddings', True),
  ):
    if values.get(name, known) != known:
      raise ValueError(
        f'{name}={values[name]!r} is not {known!r}; use a T5 of version 1.0'
      )
  chosen = {'num_whole_words': num_whole_words}
  for field in dataclasses.fields(t5.T5Config):
    if field.name == 'num_whole_words':
      continue
    value = values.get(field.name)
    if field.name == 'num_decoder_layers' and value is None:
      value = values.get('num_layers')
    if value is None and field.name.startswith(
      ('relative', 'dropout', 'layer_norm')
    ):
      continue
    is_number = isinstance(value, (int, field.type))
    is_number &= not isinstance(value, bool)
    if not is_number or value < 0 or (field.type is int and value == 0):
      raise ValueError(f'{field.name}={value!r} is not a positive number')
    chosen[field.name] = value
  return t5.T5Config(**chosen)


def convert_params(
  tensors: Mapping[str, np.ndarray], config: t5.T5Config
) -> dict[str, Any]:
  """Converts the tensors of a Hugging Face file to parameters of `t5.T5`.

  A plain T5 has no whole-word embeddings. They are zero then, so the network
  computes the same as that T5.

  Args:
    tensors: arrays of model.safetensors by name.
    config: sizes that the tensors must have.

  Raises:
    ValueError: a tensor is missing or unknown, has another shape or type than
      expected, or is not finite.
  """
  template = flax.traverse_util.flatten_dict(t5.abstract_params(config))
  names = {path: _file_name(path) for path in template}
  known = {*names.values(), *_COPIES}
  missing = sorted(
    name
    for name in set(names.values()) - set(tensors)
    if not name.startswith('whole_word')
  )
  unknown = sorted(set(tensors) - known)
  if missing or unknown:
    raise ValueError(
      f'the tensors are not those of a T5 of {config.num_layers} + '
      f'{config.num_decoder_layers} layers: {len(missing)} missing '
      f'{missing[:3]}, {len(unknown)} unknown {unknown[:3]}'
    )
  flat = {}
  for path, leaf in template.items():
    name = names[path]
    if name not in tensors:
      flat[path] = np.zeros(leaf.shape, np.float32)
      continue
    flat[path] = weights.parameter(name, tensors[name], path, leaf.shape)
  for name in _COPIES:
    if name in tensors and not np.array_equal(
      tensors[name], tensors['shared.weight']
    ):
      raise ValueError(f'{name} differs from shared.weight; they must be tied')
  return flax.traverse_util.unflatten_dict(flat)


def _file_name(path: tuple[str, ...]) -> str:
  """The name that a file gives to the parameter at `path` of `t5.T5`."""
  if path[0] == 'words':
    return 'shared.weight'
  if path[0] == 'whole_words':
    return 'whole_word_embeddings.weight'
  stack, part = path[:2]
  if part == 'norm':
    return f'{stack}.final_layer_norm.weight'
  if part == 'positions':
    return (
      f'{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight'
    )
  block = f'{stack}.block.{part.removeprefix("layers_")}.layer'
  net = 2 if stack == 'decoder' else 1
  owner = {
    'attention': '0.SelfAttention',
    'cross': '1.EncDecAttention',
    'attention_norm': '0.layer_norm',
    'cross_norm': '1.layer_norm',
    'net_norm': f'{net}.layer_norm',
  }.get(path[2], f'{net}.DenseReluDense')
  names = [_PARTS[name] for name in path[2:-1] if name in _PARTS]
  return '.'.join([block, owner, *names, 'weight'])


def load(
  folder: str | os.PathLike, *, num_whole_words: int = 0
) -> tuple[t5.T5Config, dict[str, Any]]:
  """Reads config.json and model.safetensors of a folder.

  Args:
    folder: folder that holds both files.
    num_whole_words: number of whole-word embeddings.

  Returns:
    The configuration, and the parameters of `t5.T5`.

  Raises:
    ValueError: a file is missing, damaged or not that of a T5; the message
      names the file.
    ModuleNotFoundError: safetensors is not installed.
  """
  import safetensors.numpy

  path = pathlib.Path(folder) / 'config.json'
  try:
    config = parse_config(
      json.loads(path.read_text()), num_whole_words=num_whole_words
    )
    path = path.with_name('model.safetensors')
    tensors = safetensors.numpy.load_file(path)
    return config, convert_params(tensors, config)
  except (OSError, ValueError, safetensors.SafetensorError) as error:
    raise ValueError(f'{path}: {error}') from error
