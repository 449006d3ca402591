from .codec import Encoded as Encoded
from .codec import decode as decode
from .codec import encode as encode
from .formats.clip import Clip as Clip
from .formats.errors import LrmError as LrmError
from .formats.video import read_clip as read_clip
from .formats.video import write_clip as write_clip
from .reader import LrmFile as LrmFile
from .reader import open as open

__version__: str
