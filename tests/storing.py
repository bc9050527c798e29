"""States on their way through files."""

import json

import safetensors.numpy

from hyperrec import stored_state


def written_and_read(state, folder, known):
  """The state after it has been in files of JSON and of safetensors."""
  structure, tensors = stored_state.pack(state)
  (folder / 'state.json').write_text(json.dumps(structure, allow_nan=False))
  (folder / 'state.safetensors').write_bytes(safetensors.numpy.save(tensors))
  return stored_state.unpack(
    json.loads((folder / 'state.json').read_text()),
    safetensors.numpy.load((folder / 'state.safetensors').read_bytes()),
    known,
  )


def assert_same(one, other):
  """Asserts that two states are the same to the last bit."""
  structures, tensors = zip(*map(stored_state.pack, (one, other)), strict=True)
  assert structures[0] == structures[1]
  assert tensors[0].keys() == tensors[1].keys()
  for name, tensor in tensors[0].items():
    assert tensor.tobytes() == tensors[1][name].tobytes(), name
