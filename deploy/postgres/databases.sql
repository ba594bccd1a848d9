-- Runs once, when the server's volume is empty. Accounts cannot access each other's databases.
\getenv mlflow_password MLFLOW_DB_PASSWORD
\getenv predictions_password PREDICTIONS_DB_PASSWORD

CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_auth OWNER mlflow;

CREATE ROLE commentwise LOGIN PASSWORD :'predictions_password';
CREATE DATABASE predictions OWNER commentwise;

REVOKE CONNECT ON DATABASE mlflow, mlflow_auth, predictions FROM PUBLIC;
