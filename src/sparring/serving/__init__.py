"""A web page and an HTTP API around runs: `sparring serve`.

It needs FastAPI, uvicorn, python-multipart and prometheus-client: pip install 'sparring[serve]'.
"""
