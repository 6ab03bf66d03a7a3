"""Every table of the endpoint."""

from rolecall.lab.aws_endpoint.eks import records
from rolecall.lab.aws_endpoint.iam import schema
from rolecall.lab.aws_endpoint.sts import sessions

SCHEMAS = (schema.SCHEMA, sessions.SCHEMA, records.SCHEMA)
