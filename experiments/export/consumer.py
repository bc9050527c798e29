"""Recommends from an exported folder with jax, numpy and safetensors alone.

  python consumer.py --model=my_recommender --k=10 --history 260 1196

It needs `pip install jax flatbuffers numpy safetensors`, and can be copied to
where the folder is served. It serves every folder that `experiments.export.run`
wrote, whatever its method, but it checks neither files nor requests;
`experiments.export.recommend` does.
"""

import argparse
import json
import pathlib

import jax.export
import numpy as np
import safetensors.numpy


def main():
  """Prints the ids and scores of the best items that are not in the history."""
  parser = argparse.ArgumentParser()
  parser.add_argument('--model', type=pathlib.Path, required=True)
  parser.add_argument('--history', nargs='*', default=[])
  parser.add_argument('--k', type=int, default=10)
  args = parser.parse_args()
  head = json.loads((args.model / 'recommender.json').read_text())
  items = json.loads((args.model / 'items.json').read_text())
  tensors = safetensors.numpy.load_file(args.model / 'tensors.safetensors')
  program = (args.model / 'score.jaxexport').read_bytes()
  place = {name: i for i, name in enumerate(items['ids'])}
  # An id that is repeated counts at its last place.
  history = [place[n] for n in dict.fromkeys(args.history[::-1])][::-1]
  length = head['length'] or max(1, len(history))
  row, read = np.zeros((1, length), np.int32), history[-length:]
  row[0, : len(read)] = read
  call = jax.export.deserialize(bytearray(program)).call
  mask, counts = np.arange(length)[None] < len(read), np.array(items['counts'])
  scores = np.array(call(tensors, row, mask))[0]
  # Where nothing is known of what goes with the history, popularity ranks.
  scores = scores if history and np.delete(scores, history).any() else counts
  best = [i for i in np.lexsort((-counts, -scores)) if i not in history]
  for i in best[: args.k]:
    print(f'{items["ids"][i]}\t{scores[i]:.6f}')


if __name__ == '__main__':
  main()
