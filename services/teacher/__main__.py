"""`python -m services.teacher`: the teacher service as a process."""

from services.teacher.app import TeacherSettings, create_teacher_app
from shared import logs
from shared.keys import load_keys
from shared.service import serve
from shared.settings import load

settings = load(TeacherSettings, program="teacher")
logs.configure("teacher")
serve(create_teacher_app(settings, load_keys()), settings.host, settings.port)
