"""The database that feedback is stored in: the prediction log's."""

import threading
from typing import Any

from commentwise.serving.events import log


class StoreUnavailable(Exception):
    """The database does not answer."""


class FeedbackStore:
    """The database, connected to when the first feedback arrives."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Any = None
        self._lock = threading.Lock()

    def store(self, fields: dict[str, Any]) -> bool:
        """Store feedback, given as the fields of commentwise.models.prediction_log.Feedback.

        Returns False where other feedback has its id. Raises StoreUnavailable when the database does not answer.
        """
        # Imported here: SQLAlchemy is an extra, which a server without a prediction log does not need.
        from sqlalchemy.exc import SQLAlchemyError

        from commentwise.models import prediction_log

        try:
            with self._lock:
                if self._engine is None:
                    engine = prediction_log.connect(self._url)
                    prediction_log.prepare(engine)
                    self._engine = engine
                with self._engine.begin() as connection:
                    return prediction_log.insert_feedback(connection, prediction_log.Feedback(**fields))
        except SQLAlchemyError as error:
            log("feedback refused", "warning", reason=prediction_log.reason(error))
            raise StoreUnavailable from None
