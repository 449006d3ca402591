from .plan import Simulated as Simulated
from .plan import Truth as Truth
from .simulator import simulate as simulate
