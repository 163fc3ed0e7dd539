"""Keeps credentials alive.

grant.py    a token to use now: refreshed early, by one caller over all processes, durable before it is used
key.py      the same for a static API key
consent.py  how a grant comes: a person's consent in a browser or with a code, or a password
tickets.py  a connection under way in a browser
endpoint.py one vendor's token endpoint; answers.py what it says
"""

from keepstep.tokens.endpoint import Client, Endpoint
from keepstep.tokens.grant import OAuthGrant, access_of, start_over
from keepstep.tokens.key import EitherGrant, KeyGrant

__all__ = ["Client", "EitherGrant", "Endpoint", "KeyGrant", "OAuthGrant", "access_of", "start_over"]
