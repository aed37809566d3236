"""Makes a student of the LLaVA form from a causal language model and a vision tower, as the paper's is made."""

from comd.student.plan import DTYPES, PROJECTORS, Made, Plan


def make(plan: Plan) -> Made:
    """Writes model, processor and chat template to `plan.out`. ConfigError where the parts do not make one."""
    from comd.student.making import make_student  # torch is loaded only where a student is made

    return make_student(plan)


__all__ = ["DTYPES", "PROJECTORS", "Made", "Plan", "make"]
