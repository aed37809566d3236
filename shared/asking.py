"""One attempt of a role at a reply in a known form. In: messages and a schema. Out: the engine's reply as it came."""

import re

from shared.errors import BadRequest, ConfigError
from shared.reply_form import reply_form
from shared.role import Reply, RoleService
from shared.types import EngineSpec, JsonObject

ABOUT_THE_SCHEMA = re.compile(r"response_format|json_schema|structured|grammar|guided", re.IGNORECASE)


async def ask_in_form(
    service: RoleService, spec: EngineSpec, messages: list[JsonObject], seed: int, schema: JsonObject
) -> Reply:
    """The reply, held to `schema` (a `response_format`) where the engine can do that.

    ConfigError where the engine turns out not to: callers then wait for the operator, and lose no item.
    """
    if reply_form(spec) == "lines":
        return await service.ask(spec, messages, seed)
    try:
        return await service.ask(spec, messages, seed, schema)
    except BadRequest as error:
        if not ABOUT_THE_SCHEMA.search(error.message):
            raise
        raise ConfigError(
            f"the engine takes no response_format with a JSON schema: set json_schema = false on the engine of "
            f"the {service.role}, and it is asked for plain lines ({error.message})"
        ) from error
