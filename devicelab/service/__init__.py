"""The lab as an HTTP service: who may ask (``auth``), what is uploaded, the routes, the live feed, the pages."""
