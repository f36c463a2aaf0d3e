"""What the made-up failures of hostile.py carry."""

HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
LARGE_ID = 5076066953444982785
"""A correlation id that a browser's numbers cannot hold."""
