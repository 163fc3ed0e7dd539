"""Virtuous CRM+, in the role of a CRM."""

from keepstep.connectors.virtuous.cost import cost
from keepstep.connectors.virtuous.delivery import parse_delivery, signatures
from keepstep.connectors.virtuous.destination import Destination
from keepstep.connectors.virtuous.explain import explain
from keepstep.connectors.virtuous.mapping import PLATFORM
from keepstep.ports import Connector, OAuth

CONNECTOR = Connector(
    platform=PLATFORM,
    explain=explain,
    open_crm=Destination,
    parse_delivery=parse_delivery,
    signatures=signatures,
    cost=cost,
    oauth=OAuth(exchange="/Token", client=False, password=True),  # Virtuous facts 3
    takes_access_away=(
        "delete the API key (Settings, All Settings, Connectivity, API Keys); where a user's name and password were "
        "given, change the password"
    ),
)
