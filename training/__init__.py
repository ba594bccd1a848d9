"""From raw comments to a chosen bundle: one module per pipeline stage."""

import warnings

# pandera and MLflow import PySpark if it is installed, and PySpark warns about pandas 3 each time.
warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
