"""`python -m services.coordinator`: the coordinator as a process. It brings the schema up to date first."""

import sys

from sqlalchemy.exc import DBAPIError

from services.coordinator.app import create_coordinator_app
from services.coordinator.migrate import migrate
from services.coordinator.settings import CoordinatorSettings
from shared import logs
from shared.errors import ConfigError
from shared.keys import load_keys
from shared.masking import mask
from shared.service import serve
from shared.settings import load

settings = load(CoordinatorSettings, program="coordinator")
logs.configure("coordinator")
try:
    migrate(settings.database_url)
except (ConfigError, DBAPIError) as error:
    said = error.message if isinstance(error, ConfigError) else f"the database cannot be used: {error.orig}"
    print(mask(f"coordinator: {said}"), file=sys.stderr)
    raise SystemExit(2) from error
serve(create_coordinator_app(settings, load_keys()), settings.host, settings.port)
