"""What stands in the tenants index, one document a tenant, and what follows from it.

A document is plain JSON that anybody may have written, with any Elasticsearch client. `tenant_rules` and
`deployment_rules` check one and compile it to what is in force (`tenancy.rules`); `tenant_document` and
`deployment_document` write rules as a document again. A document of its own says all of a tenant: what it leaves out
is at its default, and nothing of the deployment's `defaults` applies. Fields of bookkeeping (`BOOKKEEPING`), which the
API adds and nobody else has to, are no part of what is checked. Pure.
"""

from .errors import DocumentError, Fault
from .reading import BOOKKEEPING, DEPLOYMENT, DeploymentRules, deployment_rules, tenant_rules, without_bookkeeping
from .schema import json_schema
from .writing import deployment_document, tenant_document

__all__ = [
    "BOOKKEEPING",
    "DEPLOYMENT",
    "DeploymentRules",
    "DocumentError",
    "Fault",
    "deployment_document",
    "deployment_rules",
    "json_schema",
    "tenant_document",
    "tenant_rules",
    "without_bookkeeping",
]
