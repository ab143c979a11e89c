"""The control socket as OpenAPI describes it, made of the handlers' own types and bounds."""
