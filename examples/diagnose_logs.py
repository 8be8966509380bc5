"""Curves that another trainer has left: a CSV file, or a folder of TensorBoard, Lightning or Ultralytics.

python diagnose_logs.py lightning_logs
"""

import sys
from pathlib import Path

import preceptor

if len(sys.argv) > 1:
    place = Path(sys.argv[1])
else:  # a curve that overfits, to have something to judge
    place = Path("metrics.csv")
    rows = [f"{e},{0.8**e:.4f},{0.8**e + 0.1 + 0.02 * max(0, e - 10):.4f}" for e in range(40)]
    place.write_text("\n".join(["epoch,train_loss,val_loss", *rows]))

for finding in preceptor.diagnose(place):
    print(f"{finding.cause} ({finding.severity}): {finding.title}")
    print("  remedy:", finding.remedy)
