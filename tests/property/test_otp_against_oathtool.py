"""OTP1: 1,000 random secrets at random times agree with oathtool, four codes each."""

import os
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from mailauth.core import otp

SECRETS = 1000
WINDOW = 3


def by_oathtool(case: tuple[bytes, int]) -> list[str]:
    seed, second = case
    ran = subprocess.run(
        ["oathtool", "--totp", "--base32", f"--window={WINDOW}", f"--now=@{second}", otp.base32(seed)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.stdout.split()


def test_thousand_random_secrets_agree_with_oathtool() -> None:
    assert shutil.which("oathtool"), "oathtool is not installed: apt-get install oathtool"
    chance = random.Random(os.urandom(8))
    cases = [(chance.randbytes(otp.SEED_BYTES), chance.randrange(0, 2**32)) for _ in range(SECRETS)]
    with ThreadPoolExecutor(8) as pool:
        theirs = list(pool.map(by_oathtool, cases))
    for (seed, second), codes in zip(cases, theirs, strict=True):
        step = otp.step_at(datetime.fromtimestamp(second, UTC))
        ours = [otp.code_at(seed, step + ahead) for ahead in range(WINDOW + 1)]
        assert ours == codes, (seed.hex(), second)
