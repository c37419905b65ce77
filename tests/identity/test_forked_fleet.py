"""Workers forked from one warm parent share its credentials, and must not all renew them at the same moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from aws_box import AwsBox
from identity.workload import ROLE, run_python

WORKERS: Final = 20
LIFE: Final = 20.0
# The early window is the last fifth of the life; each process draws its own start within the first quarter of it.
OPENS: Final = LIFE * 4 / 5
QUARTER: Final = LIFE / 5 / 4
FLEET = """
import json, os, time, warnings
import pgiam
warnings.simplefilter("ignore", DeprecationWarning)  # threads are there on purpose
asked_at = []
def identity_token():
    asked_at.append(time.time())
    return os.environ["IDENTITY_TOKEN"]
client = pgiam.Client(pgiam.WebIdentity(role_arn=os.environ["ROLE"], identity_token=identity_token))
end = client.credentials().expires_at.timestamp()
for _ in range({workers}):
    if os.fork() == 0:
        try:
            while client.stats().refreshes < 2:
                client.generate_auth_token(host="db.cluster-abc123.eu-west-1.rds.amazonaws.com", user="app")
                time.sleep(0.005)
            os.write(1, (json.dumps([end, *asked_at[1:]]) + "\\n").encode())
            os._exit(0)
        finally:
            os._exit(1)
assert [os.wait()[1] for _ in range({workers})] == [0] * {workers}
"""


def test_workers_renew_at_moments_of_their_own(box: AwsBox, record_property: Callable[[str, object], None]) -> None:
    box.control("session_lifetime", seconds=LIFE)
    before = len(box.control("sessions")["sessions"])
    variables = {"IDENTITY_TOKEN": box.token("vercel"), "ROLE": box.directory.role_arn(ROLE)}
    answers = [json.loads(line) for line in run_python(FLEET.format(workers=WORKERS), variables).splitlines()]
    sessions = box.control("sessions")["sessions"][before:]

    assert len(answers) == WORKERS
    assert [answer for answer in answers if len(answer) != 2] == [], "a worker that exchanged once has asked once"
    assert len(sessions) == 1 + WORKERS, "the parent exchanged once, and so did each worker"
    begin = answers[0][0] - LIFE
    decided = sorted(asked_at - begin - OPENS for _, asked_at in answers)
    issued = sorted(session["expires_at"] - LIFE - begin - OPENS for session in sessions[1:])
    record_property("decided, seconds into the window", [round(moment, 3) for moment in decided])
    record_property("issued, seconds into the window", [round(moment, 3) for moment in issued])
    print(f"decided {decided}\nissued {issued}")
    assert decided[0] >= 0, "nobody comes before the window opens"
    for moments in (decided, issued):
        # For n uniform draws, P(range <= r) = n r^(n-1) - (n-1) r^n: 1.2e-8 for 20 and a third.
        assert moments[-1] - moments[0] >= QUARTER / 3
        # All of 20 in three tenths or fewer: at most C(10, 3) * 0.3^20 = 4.2e-9.
        assert len({int(moment / QUARTER * 10) for moment in moments}) > 3
