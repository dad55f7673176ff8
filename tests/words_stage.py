"""A stage that a user adds: its body and one entry of the table, in a copy of the suite."""

from pathlib import Path

from tests.old_runs import raised

BODY = '''"""The words stage: how many words the answers of a model's conditions have."""

from empathy_core import store
from jobs.planning.progress import read_answers
from jobs.stages.protocol import Progress


def words(run, plan, task, listen):
    """Count the words of every condition of one model."""
    for condition in plan.of_model(task.key):
        answers = read_answers(run, condition.id, plan.data_digest)
        texts = [t for p in answers.paths for t in store.read_piece(p)[1]["text"]]
        if "BROKEN" in run.root.name:
            raise ValueError("this stage is broken")
        if "SILENT" in run.root.name:
            continue
        counted = {"words": sum(len(text.split()) for text in texts)}
        inputs = {str(unit): d for unit, d in store.unit_inputs(answers.blocks).items()}
        path = run.root / "words" / f"{condition.id}.json"
        store.write_json(counted | {"inputs": inputs}, path)
    listen(Progress(1))
'''

ENTRY = """
    Stage(
        "words",
        after=(After("generate", keys=lambda _plan, model: [model]),),
        resources="score",
        tasks=lambda plan: [
            Task("words", model, 0, 1)
            for model in dict.fromkeys(c.model.name for c in plan.conditions)
        ],
        done=lambda plan, progress, task: all(
            made_from(progress.run.root / "words" / f"{c.id}.json") == progress.inputs[c.id]
            for c in plan.of_model(task.key)
        ),
    ),
"""


def with_words(folder: Path) -> Path:
    """Copy the suite into *folder* with a stage more: two files differ. Return where it is."""
    suite = raised(folder)
    table = suite / "jobs" / "planning" / "stages.py"
    text = table.read_text()
    assert text.count("SCORE_CHOSEN, REPORT)") == 1
    table.write_text(text.replace("SCORE_CHOSEN, REPORT)", f"SCORE_CHOSEN, {ENTRY} REPORT)"))
    (suite / "jobs" / "stages" / "words.py").write_text(BODY)
    return suite
