"""Several nodes in one process, for a test or a debugger: the same works in the same frame, served by one thread.

What a process of its own is for is not there: a priority, an interpreter, an end with the others.
Once in a process: the middleware keeps what it opened until that ends, and later nodes of the domain may not be heard.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from ashore.real.nodes.base import Work, end_node, make_node, serve
from ashore.real.nodes.link import load_rclpy


@contextmanager
def composed(works: Mapping[str, Work], namespace: str, domain_id: int) -> Iterator[None]:
    """Run nodes for as long as the block does; a Conductor drives them as it drives processes.

    Args:
        works: {the node's name: what it does}.
        namespace: of all of them.
        domain_id: ROS domain.

    Raises:
        MissingRos: ROS 2 is not installed.
    """
    rclpy = load_rclpy()
    context, ended = rclpy.Context(), threading.Event()
    handlers = rclpy.signals.SignalHandlerOptions.NO  # They are the program's.
    rclpy.init(context=context, domain_id=domain_id, signal_handler_options=handlers)
    with ExitStack() as stack:
        stack.callback(context.destroy)
        stack.callback(context.try_shutdown)
        nodes = []
        for name, work in works.items():
            nodes.append(make_node(name, namespace, work, context))
            stack.callback(end_node, nodes[-1], work)
        stack.enter_context(serve(nodes, ended))
        stack.callback(ended.set)
        yield
