"""Run every bench_*.py of this folder, one process each, and pass on what it prints."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Return 0 when every benchmark ran and kept its promise, else 1."""
    failed = []
    for path in sorted(HERE.glob("bench_*.py")):
        print(f"== {path.stem.removeprefix('bench_')}", flush=True)
        done = subprocess.run([sys.executable, path], cwd=HERE.parents[1], check=False)
        if done.returncode:
            failed.append(path.name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
