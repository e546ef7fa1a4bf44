"""The running process. Importing it prepares what libraries read from the environment, before they are imported."""

from foundation import settings

settings.prepare_libraries()
