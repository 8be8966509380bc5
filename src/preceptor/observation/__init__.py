"""What is seen of a training: the computational graph of one real step, to draw, to query and to replay.

The function that records a step is `preceptor.observation.capture.capture`.
"""

from preceptor.observation.capture import Capture
from preceptor.observation.graph import Graph, Node, Value

__all__ = ["Capture", "Graph", "Node", "Value"]
