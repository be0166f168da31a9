"""TIW Studio in the browser: `python app.py`, or `python app.py --host 0.0.0.0 --port 7860`."""

from ui.app import main

if __name__ == "__main__":
    main()
