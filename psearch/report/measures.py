"""What is measured of a variant: names in results.json, with their titles in tables and plots."""

METRICS = {
    "mAP": "mAP",
    "top1": "top-1",
    "detection_AP": "det. AP",
    "detection_recall": "recall",
    "gt_mAP": "true-box mAP",
}
"""Accuracies of the comparison (fractions in the data), with their column titles."""

COSTS = {
    "parameters": "parameters",
    "macs": "MACs",
    "latency_ms": "latency, ms",
    "file_bytes": "file",
}
