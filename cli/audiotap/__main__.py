"""python -m audiotap."""

from audiotap.commands.app import main

if __name__ == "__main__":
    main()
