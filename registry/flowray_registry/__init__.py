"""The component registry: every version of every component ever seen, by the digest of its source."""

NAME = "flowray-registry"
NAMESPACE = "flowray"
