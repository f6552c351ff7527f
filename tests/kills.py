"""Kill a checkpointed recursion at random points with `kill -9`, start it again, and see that no number has changed.

python tests/kills.py [KILLS] [SEED]
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lib.recursion import recurse  # noqa: E402
from lib.regimes import Accumulate, FreshReal, Keep, Mixture, RealOnly, Replace  # noqa: E402
from lib.worlds.gaussian import Gaussian  # noqa: E402

REGIMES = [
    Replace(),
    Accumulate(),
    Keep(0.2),
    Keep(0.2, redraw=False),
    Mixture(0.5, 0.3, 0.2),
    FreshReal(0.3),
    RealOnly(),
]
CALL = {"n": 20, "generations": 12, "runs": 4, "seed": 3, "block": 2}
STORED = 2 * (1 + len(REGIMES) * (CALL["generations"] - 1))  # generations in the folder when all is done


def computed(checkpoint=None):
    return recurse(Gaussian(2, sampler="explicit"), REGIMES, **CALL, checkpoint=checkpoint)


def campaign(folder, kills, seed):
    """So many kills, each when a random number of the generations that are still missing is stored and a moment has
    passed. Returns how many left a generation half written, and whether the end is that of an unbroken call."""
    rng, done, half = random.Random(seed), 0, 0
    for left in range(kills, 0, -1):
        process = subprocess.Popen(
            [sys.executable, __file__, "--work", str(folder)], env=os.environ | {"TQDM_DISABLE": "1"}
        )
        target = done + rng.randint(1, max(1, (STORED - done) // left))
        while process.poll() is None and stored(folder) < target:
            time.sleep(0.0005)
        time.sleep(rng.random() * 0.005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        if process.wait() not in (0, -signal.SIGKILL):
            raise SystemExit(f"started again after {kills - left} kills, it ended with status {process.returncode}")
        done = stored(folder)
        half += any(folder.rglob(".unfinished-*"))
    resumed = computed(folder)
    return half, resumed.identical(computed()) and not any(folder.rglob(".unfinished-*"))


def stored(folder):
    return sum(1 for _ in folder.glob("block-*/*/0*"))


def main(kills=20, seed=0):
    with tempfile.TemporaryDirectory() as folder:
        half, same = campaign(Path(folder) / "run", int(kills), int(seed))
    print(f"{kills} kills, {half} of them in the middle of a write: the numbers are {'the same' if same else 'OTHERS'}")
    return 0 if same else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        computed(sys.argv[2])
    else:
        sys.exit(main(*sys.argv[1:]))
