"""`python -m services.assessor`: the assessor service as a process."""

from services.assessor.app import AssessorSettings, create_assessor_app
from shared import logs
from shared.keys import load_keys
from shared.service import serve
from shared.settings import load

settings = load(AssessorSettings, program="assessor")
logs.configure("assessor")
serve(create_assessor_app(settings, load_keys()), settings.host, settings.port)
