from .measure.asks import Plan as Plan
from .measure.rows import Row as Row
from .measure.run import bench as bench
from .setting import Setting as Setting
