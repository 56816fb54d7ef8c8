"""Where things lie: clients' programs here, what is fetched and written in the target folder."""
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLIENTS = HERE / "clients"
ROOT = HERE.parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve() / "interop" / "kafka"
