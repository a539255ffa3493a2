#!/usr/bin/env python3
"""Writes automodel/metrics/testdata/tensorboard/: an event file made by TensorBoard's own writer, which our reader must
understand, and scalars.json, what TensorBoard's own reader says of it.

Run with the oracle environment: PYTHON tools/make_metrics_goldens.py
With --read FOLDER it prints, as JSON, the scalars that TensorBoard's reader finds in that folder: {"tag": [[step, value], ...]}.
"""
import json
import pathlib
import shutil
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

OUT = pathlib.Path(__file__).resolve().parent.parent / "automodel/metrics/testdata/tensorboard"


def read(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {tag: [[e.step, e.value] for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def main():
    if sys.argv[1:2] == ["--read"]:
        print(json.dumps(read(sys.argv[2])))
        return
    shutil.rmtree(OUT, ignore_errors=True)
    writer = EventFileWriter(str(OUT))
    for step in range(20):
        values = [summary_pb2.Summary.Value(tag="train/loss", simple_value=2.5 / (step + 1)), summary_pb2.Summary.Value(tag="train/lr", simple_value=1e-5 * step)]
        writer.add_event(event_pb2.Event(wall_time=1.7e9 + step, step=step, summary=summary_pb2.Summary(value=values)))
        if step == 11:  # the run was resumed from step 8 and made 8..11 again
            writer.add_event(event_pb2.Event(wall_time=1.7e9, step=8, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START)))
    writer.close()
    for file in OUT.glob("events.out.tfevents.*"):
        file.rename(OUT / "events.out.tfevents.1700000000.golden.1")
    (OUT / "scalars.json").write_text(json.dumps(read(OUT)) + "\n")
    print(OUT, [f.name for f in OUT.iterdir()])


if __name__ == "__main__":
    main()
