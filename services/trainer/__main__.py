"""`python -m services.trainer`: the trainer service as a process."""

from services.trainer.app import create_trainer_app
from services.trainer.settings import TrainerSettings
from shared import logs
from shared.keys import load_keys
from shared.service import serve
from shared.settings import load

settings = load(TrainerSettings, program="trainer")
logs.configure("trainer")
serve(create_trainer_app(settings, load_keys()), settings.host, settings.port)
