"""The stand-in: one pure state machine for every account, with the API in front and a control door at the side."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keepstep_sandbox.constant_contact import campaigns, custom_fields, lists, mailings, pages, people, tags
from keepstep_sandbox.constant_contact.account import Account, Ids
from keepstep_sandbox.constant_contact.activities import Activity
from keepstep_sandbox.constant_contact.changes import Change
from keepstep_sandbox.constant_contact.contact import Contact
from keepstep_sandbox.constant_contact.contacts import as_json
from keepstep_sandbox.constant_contact.dates import http_date, seconds
from keepstep_sandbox.constant_contact.oauth import Access, TokenService
from keepstep_sandbox.constant_contact.partner import Partner, Plan
from keepstep_sandbox.constant_contact.refusals import Refusal, unauthorized
from keepstep_sandbox.constant_contact.registry import SWITCHES
from keepstep_sandbox.constant_contact.routes import route
from keepstep_sandbox.constant_contact.webhooks import ContactDelivery, ContactWebhooks
from keepstep_sandbox.http import Effect, Request, Response, answer
from keepstep_sandbox.switches import Switches

TOKEN_PATH = "/oauth2/default/v1/token"
Effects = tuple[Effect, ...]


class ConstantContact:
    """Constant Contact without sockets or a clock of its own; every moment is epoch seconds UTC.

    Control methods raise KeyError for an account, contact or list that does not exist. Effects leave out
    `created_at`, `updated_at` and the sources, which follow from the change itself.
    """

    def __init__(self, switches: Mapping[str, str] | None = None, seed: int = 0) -> None:
        self.switches = Switches(SWITCHES, switches)
        self.background: list[tuple[float, Effect]] = []  # what changed by itself, with its moment
        self.last_effects: Effects = ()
        self._ids = Ids(seed)
        self._tokens = TokenService(self.switches, seed)
        self._accounts: dict[str, Account] = {}
        self._webhooks = ContactWebhooks(self.switches)
        self.partner = Partner(seed)

    # the API

    def handle(self, request: Request, now: float) -> Response:
        """Answer one request; effects that ran in the background until now are in `background`, not in the answer."""
        self.settle(now)
        response = self._answer(request, now)
        headers = {**response.headers, "Date": http_date(seconds(now))}
        return Response(response.status, headers, response.body, response.effects)

    def _answer(self, request: Request, now: float) -> Response:
        if request.path == TOKEN_PATH:
            return self._tokens.handle(request, now)
        if (partners := self.partner.handle(request, now)) is not None:
            return partners
        if request.path.startswith("/oauth2/"):
            page = pages.handle(self._tokens, self._accounts, request, now)
            return page or answer(404, {"error": "not_found", "error_description": "Not found."})
        if not request.path.startswith("/v3/"):
            return answer(403, {"message": "Forbidden"})  # CC facts 1
        access = self._bearer(request)
        if access is None:
            return unauthorized()
        refused_count = self.switches["refused_calls_count"] == "yes"
        if now >= access.expires:
            if refused_count:
                access.app.limiter.count(now)
            return unauthorized()
        refusal = access.app.limiter.refuse(now, refused_count) or self.partner.shut(access.account_id)
        return refusal or self._routed(self._accounts[access.account_id], request, now)

    def _bearer(self, request: Request) -> Access | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return self._tokens.access(token.strip()) if kind.lower() == "bearer" else None

    def _routed(self, account: Account, request: Request, now: float) -> Response:
        try:
            found = route(account, request, now)
        except Refusal as refusal:
            found = refusal.response(self.switches["error_body"])
        return Response(found.status, found.headers, found.body, account.take_effects())

    def settle(self, now: float) -> Effects:
        """Let the activities due by now end."""
        ended: list[Effect] = []
        for account in self._accounts.values():
            for activity in account.activities.take_due(now):
                activity.run()
                effects = account.take_effects()
                self.background += [(activity.due, effect) for effect in effects]
                ended += effects
        return tuple(ended)

    def next_due(self) -> float | None:
        """The next moment at which something changes by itself."""
        dues = [account.activities.next_due() for account in self._accounts.values()]
        dues += self._webhooks.next_due(), self.partner.notices.next_due()
        return min([due for due in dues if due is not None], default=None)

    def set_contact_webhook(self, account_id: str, url: str, secret: str) -> None:
        """Tell this URL of every change to contacts, as switch `contact_webhooks` says; an empty one ends it."""
        self._webhooks.subscribe(self._accounts[account_id].account_id, url, secret)

    def due_deliveries(self, now: float) -> list[ContactDelivery]:
        """Take what is due; a delivery that is never reported on is lost."""
        return [*self._webhooks.due(now), *self.partner.due(now)]

    def delivered(self, delivery: ContactDelivery, status: int | None, now: float) -> None:
        """Report the receiver's answer; None is no answer. Without 2xx it is tried every minute for an hour."""
        (self._webhooks if delivery.id > 0 else self.partner.notices).delivered(delivery, status, now)

    def lose_next(self, n: int) -> None:
        """The next n events are never delivered."""
        self._webhooks.lose_next(n)

    def duplicate_next(self, n: int) -> None:
        """The next n events are delivered twice."""
        self._webhooks.duplicate_next(n)

    def delay_next(self, n: int, seconds: float) -> None:
        """The next n events come so much later."""
        self._webhooks.delay_next(n, seconds)

    # accounts

    def add_account(self, account_id: str, client_id: str, client_secret: str, now: float) -> dict[str, Any]:
        """An account connected to an application key. Called again for the same account, it is a new consent."""
        self._accounts.setdefault(account_id, Account(account_id, self._ids, self.switches))
        self.partner.plans.setdefault(account_id, Plan())
        token = self._tokens.consent(account_id, client_id, client_secret, now)
        return {"account_id": account_id, "refresh_token": token}

    def register_app(self, client_id: str, client_secret: str, redirects: Sequence[str]) -> None:
        """An application of the developer portal; without a secret a public one, which must use PKCE."""
        self._tokens.register(client_id, client_secret, tuple(redirects))

    def revoke_grant(self, account_id: str) -> Effects:
        """The user revokes the application: refreshing now answers invalid_grant."""
        self._tokens.revoke(account_id)
        return self._accounts[account_id].take_effects()

    def contacts(self, account_id: str) -> list[dict[str, Any]]:
        """Every contact, deleted ones too, with all subresources and plain UTC dates."""
        return [as_json(one) for one in self._accounts[account_id].contacts.values()]

    def contact(self, account_id: str, contact_id: str) -> dict[str, Any]:
        """One contact, as in `contacts`."""
        return as_json(self._accounts[account_id].contacts[contact_id])

    def lists(self, account_id: str) -> list[dict[str, Any]]:
        """Every list, deleted ones too."""
        return [lists.view(one, "z") for one in self._accounts[account_id].lists.values()]

    def jobs(self, account_id: str) -> list[Activity]:
        """For the judge: every job that was ever posted, oldest first."""
        return self._accounts[account_id].activities.posted

    def tags(self, account_id: str) -> list[dict[str, Any]]:
        """Every tag."""
        account = self._accounts[account_id]
        return [tags.view(account, one) for one in account.tags.values()]

    def custom_fields(self, account_id: str) -> list[dict[str, Any]]:
        """Every custom field."""
        account = self._accounts[account_id]
        return [custom_fields.view(account, one) for one in account.custom_fields.values()]

    # lists, tags, custom fields

    def add_list(self, account_id: str, name: str, now: float) -> str:
        """A new list; returns its id."""
        account = self._account(account_id, now)
        made = lists.create(account, name, now)
        self._done(account, now)
        return made.list_id

    def rename_list(self, account_id: str, list_id: str, name: str, now: float) -> Effects:
        """Staff rename a list; its id stays."""
        account = self._account(account_id, now)
        lists.rename(account, account.lists[list_id], name, now)
        return self._done(account, now)

    def delete_list(self, account_id: str, list_id: str, now: float) -> Effects:
        """Staff delete a list, at once."""
        account = self._account(account_id, now)
        lists.remove(account, account.lists[list_id].list_id, now)
        return self._done(account, now)

    def add_tag(self, account_id: str, name: str, now: float) -> str:
        """A new tag; returns its id."""
        account = self._account(account_id, now)
        made = tags.create(account, name, now)
        self._done(account, now)
        return made.tag_id

    def rename_tag(self, account_id: str, tag_id: str, name: str, now: float) -> Effects:
        """Staff rename a tag; its id stays."""
        account = self._account(account_id, now)
        tags.rename(account, account.tags[tag_id], name, now)
        return self._done(account, now)

    def delete_tag(self, account_id: str, tag_id: str, now: float) -> Effects:
        """Staff delete a tag, at once."""
        account = self._account(account_id, now)
        tags.remove(account, account.tags[tag_id].tag_id, now)
        return self._done(account, now)

    def add_custom_field(
        self, account_id: str, label: str, now: float, kind: str = "string", choices: Sequence[str] = ()
    ) -> str:
        """A new field of a type, with its choices; returns its id. ValueError for an unknown type."""
        account = self._account(account_id, now)
        made = custom_fields.create(account, label, now, kind, choices)
        self._done(account, now)
        return made.field_id

    def rename_custom_field(self, account_id: str, field_id: str, label: str, now: float) -> Effects:
        """Staff give a field another label; its name stays."""
        account = self._account(account_id, now)
        custom_fields.relabel(account, account.custom_fields[field_id], label, now)
        return self._done(account, now)

    def delete_custom_field(self, account_id: str, field_id: str, now: float) -> Effects:
        """Staff delete a field with everybody's value."""
        account = self._account(account_id, now)
        custom_fields.remove(account, account.custom_fields[field_id], now)
        return self._done(account, now)

    def add_choice(self, account_id: str, field_id: str, label: str, now: float) -> str:
        """One more choice of a select field; returns its id."""
        account = self._account(account_id, now)
        made = custom_fields.add_choice(account, account.custom_fields[field_id], label, now)
        self._done(account, now)
        return made.choice_id

    def remove_choice(self, account_id: str, field_id: str, choice_id: str, now: float) -> Effects:
        """Staff take a choice away; contacts keep its id."""
        account = self._account(account_id, now)
        custom_fields.remove_choice(account, account.custom_fields[field_id], choice_id, now)
        return self._done(account, now)

    def add_segment(self, account_id: str, contact_ids: Sequence[str]) -> int:
        """A segment with these contacts; returns its id."""
        segments = self._accounts[account_id].segments
        segments[len(segments) + 1] = list(contact_ids)
        return len(segments)

    def campaigns(self, account_id: str) -> list[dict[str, Any]]:
        """For the judge: every campaign with its activities and what came back of each, moments as epoch seconds."""
        return [mailings.whole(one) for one in self._accounts[account_id].campaigns.values()]

    # campaigns

    def draft_campaign(self, account_id: str, name: str, now: float) -> str:
        """A campaign that nobody gets yet; returns its id."""
        account = self._account(account_id, now)
        made = campaigns.draft(account, name, now)
        self._done(account, now)
        return made.campaign_id

    def send_campaign(
        self, account_id: str, now: float, contact_ids: Sequence[str] | None = None, campaign_id: str = ""
    ) -> str:
        """Mail these contacts, or all who may be mailed; returns the campaign's id. One sent before is sent again."""
        account = self._account(account_id, now)
        found = account.campaigns[campaign_id] if campaign_id else None
        made = found or campaigns.draft(account, f"Campaign {len(account.campaigns) + 1}", now)
        campaigns.send(account, made, contact_ids, now)
        self._done(account, now)
        return made.campaign_id

    def bounce(self, account_id: str, contact_id: str, code: str, now: float) -> Effects:
        """The last mail came back with a code (CC facts 8). ValueError for an unknown code or nobody to mail."""
        account, contact = self._person(account_id, contact_id, now)
        campaigns.bounce(account, contact, code, now)
        return self._done(account, now)

    def campaign_opt_out(self, account_id: str, contact_id: str, now: float, reason: str | None = None) -> Effects:
        """The person follows the link in the last mail; the report names it and the reason."""
        account, contact = self._person(account_id, contact_id, now)
        campaigns.opt_out(account, contact, reason, now)
        return self._done(account, now)

    def complain(self, account_id: str, contact_id: str, now: float) -> Effects:
        """The person calls the last mail spam (switch `complaint`); no report names it, only counts."""
        account, contact = self._person(account_id, contact_id, now)
        campaigns.complain(account, contact, now)
        return self._done(account, now)

    # people

    def add_person(
        self,
        account_id: str,
        now: float,
        *,
        first_name: str | None = None,
        last_name: str | None = None,
        email: str | None = None,
        permission: str = "implicit",
        phones: Iterable[people.Phone] = (),
        addresses: Iterable[Mapping[str, Any]] = (),
        lists: Iterable[str] = (),
        **extra: Any,
    ) -> str:
        """Load one contact, unchecked; returns its id.

        `extra`: known properties of a served contact (also `contact_id`, `email_address`, `phone_numbers`, moments as
        epoch seconds or ISO text) become its own, every other key is laid over the served JSON as it is.
        """
        account = self._account(account_id, now)
        values = {
            "first_name": first_name,
            "last_name": last_name,
            "phones": list(phones),
            "addresses": list(addresses),
        }
        channel = {"email": email, "permission": permission, "lists": list(lists)}
        contact = people.load(account, now, {**values, **channel}, extra)
        self._done(account, now)
        return contact.contact_id

    def person_opts_out(self, account_id: str, contact_id: str, now: float, reason: str | None = None) -> Effects:
        """The person unsubscribes; the contact's own `updated_at` does not move (CC facts 5.4)."""
        account, contact = self._person(account_id, contact_id, now)
        people.opt_out(account, contact, now, reason)
        return self._done(account, now)

    def person_opts_in(self, account_id: str, contact_id: str, now: float) -> Effects:
        """The person subscribes again: explicit, opt_in_source Contact, opt_in_date now."""
        account, contact = self._person(account_id, contact_id, now)
        people.opt_in(account, contact, now)
        return self._done(account, now)

    def person_joins(self, account_id: str, contact_id: str, list_id: str, now: float) -> Effects:
        """The person joins a list."""
        account, contact = self._person(account_id, contact_id, now)
        people.join(account, contact, now, account.lists[list_id].list_id)
        return self._done(account, now)

    def person_leaves(self, account_id: str, contact_id: str, list_id: str, now: float) -> Effects:
        """The person leaves a list and stays subscribed."""
        account, contact = self._person(account_id, contact_id, now)
        Change(account, contact, now).leave(list_id)
        return self._done(account, now)

    def person_tagged(self, account_id: str, contact_id: str, tag_id: str, now: float) -> Effects:
        """Somebody gets a tag."""
        account, contact = self._person(account_id, contact_id, now)
        Change(account, contact, now).tag(account.tags[tag_id].tag_id)
        return self._done(account, now)

    def person_untagged(self, account_id: str, contact_id: str, tag_id: str, now: float) -> Effects:
        """Somebody loses a tag."""
        account, contact = self._person(account_id, contact_id, now)
        Change(account, contact, now).untag(tag_id)
        return self._done(account, now)

    def set_custom_field(
        self, account_id: str, contact_id: str, field_id: str, now: float, value: str | Sequence[str] = ""
    ) -> Effects:
        """A text, or choices by id or label; an empty one takes it away. ValueError for an unknown choice."""
        account, contact = self._person(account_id, contact_id, now)
        custom_fields.set_value(account, contact, account.custom_fields[field_id], value, now)
        return self._done(account, now)

    def edit(self, account_id: str, contact_id: str, now: float, **fields: Any) -> Effects:
        """An edit in the product: core names, email, permission, phones, addresses, lists, taggings, custom_fields,
        update_source. Raises ValueError for another name."""
        account, contact = self._person(account_id, contact_id, now)
        people.edit(account, contact, now, fields)
        return self._done(account, now)

    def delete(self, account_id: str, contact_id: str, now: float) -> Effects:
        """Staff delete a contact, softly (CC facts 5.5)."""
        account, contact = self._person(account_id, contact_id, now)
        Change(account, contact, now).delete()
        return self._done(account, now)

    def revive(self, account_id: str, contact_id: str, now: float) -> Effects:
        """Staff bring a deleted contact back, without its lists."""
        account, contact = self._person(account_id, contact_id, now)
        Change(account, contact, now).revive()
        return self._done(account, now)

    def _account(self, account_id: str, now: float) -> Account:
        self.settle(now)
        return self._accounts[account_id]

    def _person(self, account_id: str, contact_id: str, now: float) -> tuple[Account, Contact]:
        account = self._account(account_id, now)
        return account, account.contacts[contact_id]

    def _done(self, account: Account, now: float) -> Effects:
        """What an act changed; webhooks tell of it, and of nothing that the API did."""
        self.last_effects = account.take_effects()
        self._webhooks.tell(account.account_id, self.last_effects, now)
        return self.last_effects
