"""Tests of the child process. Set here, before any library is imported: no network, no bars."""

import os

for name in (
    "HF_HUB_OFFLINE",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_DISABLE_PROGRESS_BARS",
    "TQDM_DISABLE",
    "TRL_EXPERIMENTAL_SILENCE",
):
    os.environ[name] = "1"
