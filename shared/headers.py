"""Headers between our own services."""

ENGINE_HEADER = "x-comd-engine"  # the engine that is to answer, as JSON; under the internal key alone
ENGINE_SECONDS_HEADER = "x-comd-engine-seconds"  # of a reply, without the wait in the role's line
REVISION_HEADER = "x-comd-revision"  # whom the caller believes to ask, in percent encoding; no other answers
PROMPT_HEADER = "x-comd-prompt"  # "none": without the teacher's own system prompt and temperature
