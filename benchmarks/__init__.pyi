from .measure.asks import Plan as Plan
from .measure.campaign import bench as bench
from .measure.rows import Row as Row
from .setting import Setting as Setting
