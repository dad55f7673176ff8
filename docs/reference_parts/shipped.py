"""What ships, by its name: models, engines, prompts, rubrics, sources, cluster profiles."""

from empathy_core import data, engines, models, prompts, rubrics
from empathy_core.stats import BIAS_RULES
from reference_parts.markdown import markdown, table
from slurm import profile


def shipped_models() -> str:
    """Return the models that ship."""
    rows = []
    for name in models.names():
        model = models.model(name)
        where = f"`{model.weights}`" if model.weights else f"none ({model.backend})"
        rows.append((f"`{name}`", model.label, where, model.licence or "—"))
    return table(("name", "label", "weights", "licence"), rows)


def shipped_engines() -> str:
    """Return the engines that ship."""
    rows = []
    for name in engines.names():
        engine = engines.engine(name)
        returned = "yes" if engine.returns_tokens else "no"
        rows.append((f"`{name}`", ", ".join(f"`{taken}`" for taken in engine.takes), returned))
    return table(("name", "settings of a decoding that it follows", "gives ids back"), rows)


def shipped_prompts() -> str:
    """Return the prompts that ship."""
    found = [prompts.prompt(name) for name in prompts.names()]
    rows = [(f"`{p.name}`", p.label, markdown(p.origin)) for p in found]
    return table(("name", "label", "origin"), rows)


def shipped_rubrics() -> str:
    """Return the rubrics that ship, with the number of their questions and what may be answered."""
    rows = []
    for found in map(rubrics.rubric, rubrics.names()):
        answers = sorted({", ".join(dimension.labels) for dimension in found.dimensions})
        refused = "" if found.single_reply else f"refused: {found.why_not_single_reply}"
        count = str(len(found.dimensions))
        rows.append((f"`{found.name}`", found.origin, count, refused or "; ".join(answers)))
    return table(("name", "after", "dimensions", "answers"), rows)


def judge_checks() -> str:
    """Return the checks of a judge, each with the range that names nobody."""
    rows = [
        (f"`{name}`", rule.number, f"{rule.harmless.low:g} to {rule.harmless.high:g}",
         "; ".join(filter(None, (rule.below, rule.above))), rule.cannot_tell)
        for name, rule in BIAS_RULES.items()
    ]  # fmt: skip
    return table(("check", "its number", "harmless", "the judge …", "cannot tell"), rows)


def shipped_sources() -> str:
    """Return the data sources that ship."""
    rows = []
    for name in data.source_names():
        source = data.source(name)
        where = (
            f"Hub: `{source.hub}`" if source.hub else "packaged" if source.path else "set `path`"
        )
        columns = ", ".join(source.context) or source.column or ""
        rows.append(
            (
                f"`{name}`",
                where,
                f"{columns} → {source.response or ('pattern' if source.pattern else 'its turns')}",
                source.licence or "—",
            )
        )
    return table(("name", "where", "columns", "licence"), rows)


def shipped_profiles() -> str:
    """Return the cluster profiles that ship: the first sentence of each file."""
    rows = []
    for name in profile.names():
        first = profile.find(name).read_text().splitlines()[0].lstrip("# ")
        rows.append((f"`{name}`", markdown(first)))
    return table(("name", "for"), rows)
