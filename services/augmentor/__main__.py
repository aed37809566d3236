"""`python -m services.augmentor`: the augmentor service as a process."""

from services.augmentor.app import AugmentorSettings, create_augmentor_app
from shared import logs
from shared.keys import load_keys
from shared.service import serve
from shared.settings import load

settings = load(AugmentorSettings, program="augmentor")
logs.configure("augmentor")
serve(create_augmentor_app(settings, load_keys()), settings.host, settings.port)
