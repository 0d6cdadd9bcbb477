"""The AI Horde door, `/api/v2`: clients and workers of that protocol, unmodified, over our jobs.

One generation is one job. A request for `n` images is `n` jobs, each seen, streamed and cancelled by every
other door of the same tenant. The request's id is no job's: theirs follow from it, one way (`requests`), so
whoever knows it finds them by primary key, and whoever works on one of them does not learn it. Each of
these jobs has the label `request` (that id) and `count` (how many the request has).

Who can run a job decides what its input is:

- an engine of the catalog serves the kind and one of the models asked for: the engine's own input, in its
  lane. Workers of ours take it, and remote ones that have the model may.
- nobody in the catalog does: what was asked, in this protocol's words (`schemas_asked`), in the lane
  `remote`; a picture in it is `{"blob": id}`. Remote workers alone take it. `models` are those that would do,
  none means any; the job's model is the first of them, or `any`.
"""
