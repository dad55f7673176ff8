"""The house keeps its rules: who imports whom, what is heavy, how long things get."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("jobs", "empathy_core", "slurm", "reports")
MAY_IMPORT = {
    "jobs": {"jobs", "empathy_core", "slurm", "reports"},
    "reports": {"reports", "empathy_core"},
    "slurm": {"slurm"},
    "empathy_core": {"empathy_core"},
}
FLOORS: dict[str, tuple[tuple[str, ...], ...]] = {
    "jobs": (
        ("launch",), ("commands",), ("executors",), ("stages",), ("planning",), ("config",),
    ),
    "jobs.planning": (
        ("space",), ("sweep", "refining"), ("resolving", "status"), ("pilot",), ("stages",),
        ("scoring", "best_of_n", "pairs", "ratings"),
        ("progress", "planned_metrics", "versions", "origins", "derived", "report_settings"),
        ("plan_file",), ("plan", "provenance", "quotas", "shown_commands", "withheld"),
    ),
    "reports": (
        ("write",), ("page",), ("build",), ("claims", "figures", "latex"), ("tables",),
        ("numbers",), ("rows",), ("spec",), ("keys", "labels", "changes", "refined"),
    ),
    "empathy_core": (
        ("diagnosis", "training", "refining"), ("metrics",), ("backends",),
        ("prompts", "imported_answers", "annotation"),
        ("data", "weights"), ("personal",), ("crisis",),
        ("engines", "models", "rubrics", "store"), ("stats",),
        ("types", "best_of"), ("shipped", "conversation", "choice"),
        ("bounds", "counted", "errors", "visible"),
    ),
    "empathy_core.training": (
        ("rows",), ("preflight", "adapter"), ("loop",), ("modules", "preference"), ("spec",),
    ),
}  # fmt: skip
"""The rooms of a package, from the top: each may import from itself and from lower floors."""
MODULES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
HEAVY = ("torch", "transformers", "peft", "datasets", "evaluate", "sentence_transformers")


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a module's tree."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(path: Path):
    """Jobs may import all, reports the core, slurm and the core nothing of ours."""
    package = path.relative_to(ROOT).parts[0]

    assert _imported(path) & set(PACKAGES) <= MAY_IMPORT[package]


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


NAMES = {_name(path): path for path in MODULES}


@cache
def _imports(path: Path) -> set[str]:
    """Return the modules of ours that a module imports, inside functions too."""
    found = set()
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside | ({node.module} if inside - set(NAMES) else set())
    return found & set(NAMES)


def _room(module: str, package: str) -> str | None:
    """Return the room of *package* that a module is in; null if it is in none."""
    if not module.startswith(f"{package}."):
        return None
    return module.removeprefix(f"{package}.").split(".")[0]


@pytest.mark.parametrize("package", FLOORS)
def test_imports_run_down(package: str):
    """A room imports from itself and from the floors below it, and every room has a floor."""
    floor = {room: i for i, rooms in enumerate(FLOORS[package]) for room in rooms}
    wrong = []
    for module, path in NAMES.items():
        room = _room(module, package)
        if room is None:
            continue
        for imported in sorted(_imports(path)):
            other = _room(imported, package)
            if other not in (None, room) and floor[other] <= floor[room]:
                wrong.append(f"{module} imports {imported}")

    assert wrong == []
    assert {_room(module, package) for module in NAMES} <= {None, *floor}


def test_no_modules_import_each_other():
    """There is no circle of imports, not even of imports inside functions."""
    graph = {module: _imports(path) - {module} for module, path in NAMES.items()}
    sorter = TopologicalSorter(graph)

    assert list(sorter.static_order())


def test_a_class_name_has_one_meaning():
    """No two modules define a class of the same name, but for what a plug-in must be called."""
    plugin = "Metric"  # each file of metrics/ has one: it is found by this name
    where: dict[str, list[str]] = {}
    for module, path in NAMES.items():
        for node in _nodes(path):
            if isinstance(node, ast.ClassDef) and node.name != plugin:
                where.setdefault(node.name, []).append(module)

    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_stay_short(path: Path):
    """A module has at most 500 lines and a function at most 60."""
    text = path.read_text()
    functions = [node for node in _nodes(path) if isinstance(node, ast.FunctionDef)]
    too_long = [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > 60]

    assert len(text.splitlines()) <= 500
    assert not too_long


@pytest.mark.parametrize(
    "module",
    [
        "jobs.launch",
        "jobs.commands.sweep",
        "jobs.commands.submission",
        "jobs.commands.views.run_screen",
        "reports.write",
    ],
)
def test_a_login_node_needs_no_gpu_stack(module: str):
    """Help, status and report import no torch and no transformers."""
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )

    assert done.stdout.strip() == "[]"


def test_the_project_holds_no_path_of_a_home_and_no_secret():
    """No absolute path of a machine, no token and no registry host stands in the sources."""
    files = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.split()
    pattern = re.compile(r"/home/\w+/|/root/|hf_[A-Za-z0-9]{20,}|pypi\.org|files\.pythonhosted")
    skipped = ("tests/test_architecture.py", "LICENSE")
    found = [
        name
        for name in files
        if name not in skipped
        and (ROOT / name).is_file()
        and pattern.search((ROOT / name).read_text(errors="replace"))
    ]

    assert found == []
