"""A page to see it work: chat, meters, many streams at once, and what goes over the wire.

``python -m deepseek_async ui`` serves it on this machine. Without a key it runs on the simulator.
It is built on :mod:`deepseek_async.live` and :mod:`deepseek_async.web`, as an app of yours would
be.
"""

from deepseek_async.ui.script import PACE, prepare
from deepseek_async.ui.server import UIServer

__all__ = ["PACE", "UIServer", "prepare"]
