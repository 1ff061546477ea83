"""Draws a flame graph from the output of `perf script`: flamegraph.py TITLE < script > graph.svg

Width is CPU time. Grey-blue is the kernel, yellow libraries, orange ours.
"""

import html
import re
import sys

WIDTH, ROW, NARROWEST = 1200, 17, 1.0
HEX = re.compile(r"::h[0-9a-f]{16}$")
GENERICS = re.compile(r"::<[^<>]*>|(?<=\w)<[^<>]*>")


def stacks(lines):
    """The stacks, root first; a frame is a name and whether it is the kernel's."""
    stack = []
    for line in lines:
        if line[:1] in "\t " and line.strip():
            address, _, rest = line.strip().partition(" ")
            name, _, module = rest.rpartition(" (")
            name = HEX.sub("", re.sub(r"\+0x[0-9a-f]+$", "", name))
            if name != "[unknown]":
                stack.append((name, address.startswith("ffff") or "kernel" in module))
        elif stack and not line.strip():
            yield below_runtime(stack[::-1])
            stack = []
    if stack:
        yield below_runtime(stack[::-1])


def below_runtime(stack):
    """Without the forty frames of the async runtime that every stack begins with, and with short names."""
    last = max((at for at, (name, _) in enumerate(stack) if "{async_" in name), default=-1)
    return [(shorten(name), kernel) for name, kernel in stack[last + 1 :] or stack[-1:]]


def shorten(name):
    while (short := GENERICS.sub("", name)) != name:
        name = short
    return name.replace("trackerless::", "").replace("::{{closure}}", "")


def tree(samples):
    root = {"count": 0, "children": {}}
    for stack in samples:
        node = root
        node["count"] += 1
        for frame in stack:
            node = node["children"].setdefault(frame, {"count": 0, "children": {}})
            node["count"] += 1
    return root


def depth(node, total):
    deep = [depth(child, total) for child in node["children"].values() if child["count"] / total * WIDTH >= NARROWEST]
    return 1 + max(deep, default=0)


def colour(name, kernel):
    if kernel:
        return "#a9bccb"
    return "#f2c14e" if re.match(r"tokio|core::|alloc::|std::|__|epoll|clock_", name) else "#e8793a"


def draw(node, x, level, total, height, out):
    for (name, kernel), child in sorted(node["children"].items()):
        width = child["count"] / total * WIDTH
        if width >= NARROWEST:
            y = height - (level + 1) * ROW
            short = name if len(name) * 6.4 < width - 6 else name[: max(0, int((width - 6) / 6.4))]
            share = 100 * child["count"] / total
            out.append(
                f"<g><title>{html.escape(name)}: {share:.1f} %</title>"
                f"<rect x='{x:.1f}' y='{y}' width='{width - 0.4:.1f}' height='{ROW - 1}' fill='{colour(name, kernel)}'/>"
                f"<text x='{x + 3:.1f}' y='{y + 12}'>{html.escape(short)}</text></g>"
            )
            draw(child, x, level + 1, total, height, out)
        x += width


def main():
    root = tree(stacks(sys.stdin))
    total = root["count"]
    height = depth(root, total) * ROW + 30
    out = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' font-family='monospace' font-size='11'>",
        "<rect width='100%' height='100%' fill='white'/>",
        f"<text x='8' y='18' font-size='14' font-family='sans-serif'>{html.escape(sys.argv[1])} ({total} samples)</text>",
    ]
    draw(root, 0.0, 0, total, height, out)
    print("\n".join([*out, "</svg>"]))


if __name__ == "__main__":
    main()
