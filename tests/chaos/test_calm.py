"""Without a fault nothing runs twice, nothing is missing, and the checker has nothing to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.testkit.chaos.rig import House, rig

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(120)]


async def test_a_calm_run_is_judged_clean(house: House, tmp_path: Path) -> None:
    async with rig(house, tmp_path) as here:
        for number in range(12):
            fail = "transient" if number % 4 == 3 else ""
            here.watch(await here.crowd.submit(words=3, fail=fail))
        slow = await here.crowd.submit(words=200)
        here.watch(slow)
        await here.crowd.cancel(slow)

        judgement = await here.quiet()

    assert judgement.counts["accepted"] == 13
    assert judgement.counts["succeeded"] == 12
    assert judgement.counts["cancelled"] == 1
    assert judgement.counts["transcripts"] == 13
    assert judgement.counts["run again"] == 3
