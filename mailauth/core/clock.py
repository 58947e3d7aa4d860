"""What a clock is to the rest of the code: something that gives the moment. The core never asks one itself."""

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[], datetime]
"""Returns the moment, aware and in UTC."""
