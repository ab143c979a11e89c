"""Write the pages: ``python -m tools.reference``; `make generate` does."""

from tools.reference.written import files


def main() -> None:
    """Write them all."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
