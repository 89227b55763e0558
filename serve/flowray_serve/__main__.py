"""The command line: `flowray`, and `python -m flowray_serve`."""

from __future__ import annotations


def main() -> None:
    """Run one verb. What verbs stand on is imported in here: that takes a while, and Ctrl-C may come in it."""
    try:
        from flowray_serve.cli import main as command

        command()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
