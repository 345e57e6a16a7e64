"""The sections of the page, one module each; every module has ``build(context)``, which gives a section or None."""
