"""From what explains a job to the door's words: pure."""

from __future__ import annotations

from headrace.api.dialects.native import schemas_explain as schemas
from headrace.core.explain import Facts, Inside, explain
from headrace.core.job import State


def _inside_view(inside: Inside | None) -> schemas.InsideView | None:
    if inside is None:
        return None
    return schemas.InsideView(
        what=inside.what,
        since=inside.since,
        note=inside.note,
        before=[schemas.BeforeView(job=each.job, since=each.since) for each in inside.before],
        others=inside.others,
    )


def explain_view(facts: Facts) -> schemas.ExplainView:
    job, crowd, said = facts.job, facts.crowd, explain(facts)
    return schemas.ExplainView(
        state=job.state,
        rule=said.rule,
        why=said.why,
        relax=list(said.relax),
        lane=job.lane,
        paused_since=facts.paused.get(job.lane),
        swap_s=facts.swap_s,
        waits_for=_inside_view(facts.inside),
        workers=[
            schemas.EligibleView(
                worker=each.id,
                slots=each.slots[job.lane],
                warm_slots=facts.warm[each.id].slots if each.id in facts.warm else 0,
                seen_at=each.seen_at,
            )
            for each in facts.eligible
        ],
        slots=facts.slots,
        running_in_lane=crowd.running_in_lane,
        offered_in_lane=crowd.offered_in_lane,
        queue_position=facts.ahead if job.state is State.QUEUED else None,
        not_before=job.not_before if job.state is State.SCHEDULED else None,
        start_deadline=job.spec.start_deadline,
        tenant=schemas.ShareView(
            weight=facts.terms.weight,
            running=crowd.taken_by_tenant,
            max_running=facts.terms.max_running,
            running_in_lane=crowd.taken_by_tenant_in_lane,
            max_running_per_lane=facts.terms.max_running_per_lane,
        ),
    )
