"""What memory is left: of the machine, and of its control groups."""

import pytest

from hyperrec.cost import memory


def test_what_cannot_be_had_is_refused_with_what_needs_less():
  memory.check_memory(1, 'nothing')
  with pytest.raises(
    memory.InsufficientMemoryError, match=r'a huge.*GiB.*elsa'
  ):
    memory.check_memory(2**60, 'a huge matrix')


def write(root, files):
  for name, text in files.items():
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


MEMINFO = {'proc/meminfo': 'MemTotal: 9000 kB\nMemAvailable:    5000 kB\n'}


def test_the_machine_limits_memory(tmp_path):
  assert memory.available_bytes(tmp_path) is None
  write(tmp_path, {'proc/meminfo': 'MemTotal: 9000 kB\n'})
  assert memory.available_bytes(tmp_path) is None
  write(tmp_path, MEMINFO)
  assert memory.available_bytes(tmp_path) == 5000 * 1024


def test_control_groups_limit_memory(tmp_path):
  cgroup = 'sys/fs/cgroup/'
  write(
    tmp_path,
    MEMINFO
    | {
      'proc/self/cgroup': '0::/job/step\n',
      cgroup + 'job/step/memory.max': 'max\n',
      cgroup + 'job/step/memory.current': '1000\n',
      cgroup + 'job/step/memory.stat': 'inactive_file 50\n',
      cgroup + 'job/memory.max': '4000\n',
      cgroup + 'job/memory.current': '1500\n',
      cgroup + 'job/memory.stat': 'anon 9\ninactive_file 300\n',
    },
  )
  assert memory.available_bytes(tmp_path) == 4000 - 1500 + 300
  write(tmp_path, {cgroup + 'job/memory.current': '9000\n'})
  assert memory.available_bytes(tmp_path) == 0


def test_control_groups_of_a_container_limit_memory(tmp_path):
  cgroup = 'sys/fs/cgroup/memory/'
  write(
    tmp_path,
    MEMINFO
    | {
      'proc/self/cgroup': '5:cpu:/x\n4:memory:/docker/of/the/host\n',
      cgroup + 'memory.limit_in_bytes': '7000\n',
      cgroup + 'memory.usage_in_bytes': '2000\n',
      cgroup + 'memory.stat': 'inactive_file 1\ntotal_inactive_file 500\n',
    },
  )
  assert memory.available_bytes(tmp_path) == 7000 - 2000 + 500
  unlimited = str(2**63 - 4096)
  write(tmp_path, {cgroup + 'memory.limit_in_bytes': unlimited})
  assert memory.available_bytes(tmp_path) == 5000 * 1024
