"""Makes a running JVM fill its heap, by an agent that is built here."""

import pathlib
import subprocess

_AGENT = """
public class FillHeap {
    public static void agentmain(String arguments) {
        java.util.List<byte[]> kept = new java.util.ArrayList<>();
        while (true) {
            kept.add(new byte[1 << 20]);
        }
    }
}
"""


def fill_heap(pid: int, folder: pathlib.Path) -> None:
    """Has a JVM allocate until it has no memory left.

    Args:
        pid: its process.
        folder: for the agent; need not exist.
    """
    agent = folder / "fill-heap.jar"
    if not agent.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "FillHeap.java").write_text(_AGENT)
        (folder / "manifest").write_text("Agent-Class: FillHeap\n")
        subprocess.run(["javac", "FillHeap.java"], cwd=folder, check=True)
        subprocess.run(["jar", "cfm", agent.name, "manifest", "FillHeap.class"], cwd=folder, check=True)
    subprocess.run(["jcmd", str(pid), "JVMTI.agent_load", str(agent)], check=False, capture_output=True)
