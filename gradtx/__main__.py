"""``python -m gradtx compare``: what the library does from the command line."""

from gradtx.compare.command import main as main

if __name__ == "__main__":
    raise SystemExit(main())
