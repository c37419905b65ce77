"""For Celery: the application, and run as a program whoever sends the tasks and waits for their results."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from celery import Celery, group

import pgiam
from e2e.services.parent import client, keep_busy

FOLDER = Path(os.environ["TASKS_FOLDER"])
for name in ("queue", "results", "control"):
    (FOLDER / name).mkdir(exist_ok=True)

app = Celery("tasks", broker="filesystem://", backend=f"file://{FOLDER / 'results'}")
app.conf.broker_transport_options = {
    "data_folder_in": str(FOLDER / "queue"),
    "data_folder_out": str(FOLDER / "queue"),
    "control_folder": str(FOLDER / "control"),
    "polling_interval": 0.05,
}
engine = pgiam.sqlalchemy.create_engine("postgresql+psycopg2://", client=client, pool_size=1)


def who(anew: bool) -> dict[str, Any]:
    if anew:
        engine.dispose()
        client.invalidate()
    with engine.connect() as connection:
        return {"pid": os.getpid(), "user": connection.scalar(sa.text("SELECT current_user FROM pg_sleep(0.02)"))}


whoami: Any = app.task(who, name="whoami")


def send(count: int) -> None:
    answers = group(whoami.s(number % 5 == 0) for number in range(count)).apply_async().get(timeout=120)
    print(json.dumps(answers))


if __name__ == "__main__":
    send(int(sys.argv[1]))
else:
    keep_busy()
