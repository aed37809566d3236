"""The model card. In: what is known of a published checkpoint. Out: Markdown, for a person who finds the folder."""

from typing import Any


def card(about: dict[str, Any]) -> str:
    """Base, data, pools, hyperparameters, loss and lineage of a checkpoint."""
    metrics, given = about.get("metrics", {}), about.get("metadata") or {}
    stage = "stage 1 (the projector alone)" if about["stage"] == "pretrain" else "stage 2"
    adaptation = (
        "LoRA, merged; the adapter lies in `adapter/`" if about["adaptation"] == "lora" else "all weights"
    )
    lineage = " ← ".join([about["id"], *about["lineage"]])
    rows = {
        "Trained from": about["model"],
        "Base student": about["lineage"][-1],
        "Lineage": lineage,
        "Stage": stage,
        "Adaptation": adaptation,
        "Training file": about["training_file"],
        "Records / turns / tokens": " / ".join(
            f"{metrics[name]:,}" for name in ("records", "turns", "tokens") if name in metrics
        ),
        "Turns left out, longer than the limit": metrics.get("left_out", "unknown"),
        "Steps": metrics.get("total_steps", "unknown"),
        "Mean training loss": f"{metrics['train_loss']:.4f}" if "train_loss" in metrics else "unknown",
        "Seed": about["seed"],
        "Content": f"sha256 {about['content_hash']}",
    }
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "pipeline_tag: image-text-to-text",
            "tags: [comd, distillation]",
            "---",
            f"# {about.get('suffix') or about['id']}",
            "",
            "A student of competitive multi-modal distillation (arXiv 2311.08213), published by CoMD.",
            "",
            *_table(rows),
            *_section("Run and pools", given),
            *_section("Hyperparameters", about["hyperparameters"]),
            "",
        ]
    )


def _section(title: str, values: dict[str, Any]) -> list[str]:
    shown = {name: value for name, value in values.items() if value is not None}
    return ["", f"## {title}", "", *_table(shown)] if shown else []


def _table(rows: dict[str, Any]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows.items())]


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
