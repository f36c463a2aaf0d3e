"""What can go wrong with the embedded Triton, as exceptions whose text a user can act on."""


class ServerError(Exception):
    """Base of this package's errors; the text says what is wrong and what would be right."""


class Unsupported(ServerError):
    """This machine cannot run the embedded server; the text says why and what to do instead."""


class InstallError(ServerError):
    """The server could not be fetched, verified or unpacked."""


class StartError(ServerError):
    """The server did not become ready; the text ends with what its log says."""
