"""Python's side of attaching: open a multiprocessing.shared_memory.SharedMemory that another process has made.

    python_attach.py PROCESSOR NAME first|again SAMPLES

first: in a new process each, which has imported the module. again: by a process that had it open before. What it opens is not
tracked where this Python can leave that out (3.13); earlier ones start a process that tracks it, with the first.
Prints nanoseconds of one of them, a line for each sample.
"""

import os
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from time import perf_counter_ns

BYTES = 64 << 20
UNTRACKED = {"track": False} if sys.version_info >= (3, 13) else {}


def attached(name):
    start = perf_counter_ns()
    memory = SharedMemory(name, **UNTRACKED)
    time = perf_counter_ns() - start
    if not UNTRACKED:
        # Else it would be removed with this process.
        resource_tracker.unregister(memory._name, "shared_memory")
    assert memory.size == BYTES
    print(time, flush=True)
    return memory


def apart(act):
    child = os.fork()
    if child == 0:
        act()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


processor, name, what, samples = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
os.sched_setaffinity(0, {processor})
path = "/dev/shm/" + name
descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
try:
    os.truncate(descriptor, BYTES)
    if what == "first":
        for _ in range(samples):
            apart(lambda: attached(name).close())
    else:
        SharedMemory(name, **UNTRACKED).close()
        for _ in range(samples):
            attached(name).close()
finally:
    os.unlink(path)
