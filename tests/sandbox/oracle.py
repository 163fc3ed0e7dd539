"""A service that cannot be wrong: it looks into both stand-ins and the log of acts, and writes what is missing.

It exists to show that the judge finds nothing where nothing is wrong. It writes through the API like anybody else.
"""

import json
from collections import Counter
from typing import Any

from keepstep_sandbox import people as crowd
from keepstep_sandbox.http import Request, Response
from keepstep_sandbox.judge import custom, fields
from keepstep_sandbox.judge.consent import Consent
from keepstep_sandbox.judge.evidence import Evidence
from keepstep_sandbox.judge.mail import Mail
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.week import Week
from keepstep_sandbox.world import World

Raw = dict[str, Any]
SOURCE = "Constant Contact"
PREFIX = "CC Tag: "
WRITABLE = (
    *("contactType", "name", "informalName", "description", "website", "maritalStatus", "anniversaryMonth"),
    *("anniversaryDay", "anniversaryYear", "originSegmentId", "isPrivate"),
)
INCLUDE = "include=list_memberships,phone_numbers,street_addresses,custom_fields,taggings,notes"


class Oracle:
    def __init__(self, world: World, credentials: Raw) -> None:
        self.world, self.credentials = world, credentials
        self.token, self.expires = "", 0.0
        self.submitted: set[str] = set()
        self.acts_read = 0

    # calling

    def cc(self, method: str, path: str, query: str = "", body: Any = None) -> Response:
        self.world.advance(self.world.now + 0.3)
        if self.world.now >= self.expires:
            self.token, self.expires = self._refreshed(), self.world.now + 86_000
        return self._call(CONSTANT_CONTACT, method, path, query, body, self.token)

    def crm(self, method: str, path: str, body: Any = None, query: str = "") -> Response:
        return self._call(VIRTUOUS, method, path, query, body, self.credentials["virtuous"]["api_key"])

    def _call(self, vendor: str, method: str, path: str, query: str, body: Any, token: str) -> Response:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        raw = b"" if body is None else json.dumps(body).encode()
        return self.world.call(vendor, Request(method, path, query, headers, raw))

    def _refreshed(self) -> str:
        mine = self.credentials["constant_contact"]
        form = f"grant_type=refresh_token&refresh_token={mine['refresh_token']}&client_id={mine['client_id']}"
        form += f"&client_secret={mine['client_secret']}"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        request = Request("POST", "/oauth2/default/v1/token", "", headers, form.encode())
        answer = self.world.call(CONSTANT_CONTACT, request).json()
        mine["refresh_token"] = answer["refresh_token"]
        return str(answer["access_token"])

    # looking

    def sweep(self) -> None:
        href = f"/v3/contacts?status=all&limit=500&{INCLUDE}"
        while href:
            path, _, query = href.partition("?")
            answer = self.cc("GET", path, query)
            if answer.status != 200 or answer.drop:
                continue
            href = answer.json().get("_links", {}).get("next", {}).get("href", "")

    def tick(self) -> None:
        """Everything that is missing now."""
        self.audience = {one["contact_id"]: one for one in self.world.constant_contact.contacts(ACCOUNT)}
        self.evidence = Evidence(self.world)
        self.consents = Consent(self.evidence, Mail(self.evidence))
        self.bounced = {one.member: one.address for one in Mail(self.evidence).bounces}
        self.tags = {one["tagName"]: one["id"] for one in self.world.virtuous.tags(ORGANIZATION)}
        owned = ({p["phone_number"] for p in one["phone_numbers"]} for one in self.audience.values())
        self.numbers = Counter(number for numbers in owned for number in numbers)
        self.look()
        self.acts = list(self.world.log.acts)
        self.create()
        for number in self.audience:
            self.person(number)
        self.household_tags()

    def create(self) -> None:
        rows = []
        for number, raw in self.audience.items():
            email = raw.get("email_address")
            if email is None or self.contact(number) or number in self.submitted or self.planted(number):
                continue
            if email["permission_to_send"] == "unsubscribed" and "deleted_at" not in raw:
                self.create_out(number, raw)
            elif email["permission_to_send"] in ("explicit", "implicit") and "deleted_at" not in raw:
                known = self.by_email(email["address"])
                if known:
                    body = {"contactId": known["id"], "referenceSource": SOURCE, "referenceId": number}
                    self.crm("POST", "/api/ContactReference", body)
                else:
                    rows.append(self.row(number, raw))
        if rows:
            self.crm("POST", "/api/Contact/Batch", {"referenceSource": SOURCE, "contacts": rows})
            self.submitted |= {row["referenceId"] for row in rows if self.waiting(row["referenceId"])}

    def waiting(self, number: str) -> bool:
        rows = self.world.virtuous.waiting(ORGANIZATION)
        return any(row["row"].get("referenceId") == number for row in rows)

    def row(self, number: str, raw: Raw) -> Raw:
        phone = self.phone(raw)
        place = fields.preferred(raw["street_addresses"], fields.ADDRESS_ORDER) or {}
        tags = sorted(tag for tag in self.evidence.labels_of(self.evidence.members[number]) if ";" not in tag)
        row = {
            "referenceId": number,
            "contactType": "Household",
            "firstName": raw.get("first_name"),
            "lastName": raw.get("last_name"),
            "emailType": "Home Email",
            "email": raw["email_address"]["address"],
            "phoneType": "Mobile Phone",
            "phone": phone,
            "address1": place.get("street"),
            "city": place.get("city"),
            "state": place.get("state"),
            "postal": place.get("postal_code"),
            "country": place.get("country"),
            "tags": ";".join(tags),
        }
        return {name: value for name, value in row.items() if value}

    def create_out(self, number: str, raw: Raw) -> None:
        method = {"type": "Home Email", "value": raw["email_address"]["address"], "isOptedIn": False, "isPrimary": True}
        person = {"firstName": raw.get("first_name"), "lastName": raw.get("last_name"), "contactMethods": [method]}
        body = {"contactType": "Household", "referenceSource": SOURCE, "referenceId": number, "name": "Somebody"}
        self.crm("POST", "/api/Contact", {**body, "contactIndividuals": [person]})

    def phone(self, raw: Raw) -> str | None:
        """The number that crosses, unless somebody else has it too."""
        crossing = fields.preferred(raw["phone_numbers"], fields.PHONE_ORDER)
        if crossing is None:
            return None
        number = str(crossing["phone_number"])
        return number if self.numbers[number] == 1 else None

    def contact(self, number: str) -> Raw | None:
        return self.referred.get(number)

    def look(self) -> None:
        self.contacts = self.world.virtuous.contacts(ORGANIZATION)
        self.referred = {r["id"]: one for one in self.contacts for r in one["contactReferences"]}

    def by_email(self, address: str) -> Raw | None:
        for contact in self.contacts:
            for individual in contact["contactIndividuals"]:
                if any(fields.email(m["value"]) == fields.email(address) for m in individual["contactMethods"]):
                    return contact
        return None

    def planted(self, number: str) -> str:
        return next((act.data["reason"] for act in self.world.log.of("planted") if act.record == number), "")

    # one person

    def person(self, number: str) -> None:
        raw, contact = self.audience[number], self.contact(number)
        if contact is None or raw.get("email_address") is None:
            return
        individual, method = self.held(contact, raw)
        if method is None:
            return
        self.consent(number, raw, contact, method)
        if "deleted_at" in raw or raw["email_address"]["permission_to_send"] not in ("explicit", "implicit"):
            return
        self.name(number, raw, contact, individual)
        self.telephone(raw, contact, individual)
        self.address(raw, contact)
        self.custom(number, contact)
        self.staff_tags(number, contact)

    def held(self, contact: Raw, raw: Raw) -> tuple[Raw, Raw | None]:
        address = fields.email(raw["email_address"]["address"])
        every = [(i, m) for i in contact["contactIndividuals"] for m in i["contactMethods"] if fields.is_email(m)]
        for individual, method in every:
            if fields.email(method["value"]) == address:
                return individual, method
        individual, method = every[0]
        body = {"type": method["type"], "value": raw["email_address"]["address"], "isOptedIn": method["isOptedIn"]}
        answer = self.crm("PUT", f"/api/ContactMethod/{method['id']}", body)
        return individual, answer.json() if answer.status == 200 and not answer.drop else None

    def consent(self, number: str, raw: Raw, contact: Raw, method: Raw) -> None:
        out = raw["email_address"]["permission_to_send"] == "unsubscribed"
        by_staff = [a for a in self.acts if a.kind == "staff_opts" and a.record == str(method["id"])]
        shut = self.bounced.get(number) == fields.email(method["value"]) or self.unproven(number)
        if (out or "deleted_at" in raw or shut) and method["isOptedIn"]:
            self.opt(method, opted_in=False)
        elif not out and not method["isOptedIn"] and by_staff:
            current = self.cc("GET", f"/v3/contacts/{number}", INCLUDE)
            if current.status == 200 and not current.drop:
                body = current.json()
                body["email_address"]["permission_to_send"] = "unsubscribed"
                self.cc("PUT", f"/v3/contacts/{number}", "", {**body, "update_source": "Account"})
        elif not out and "deleted_at" not in raw and not method["isOptedIn"] and self.returned(number):
            self.opt(method, opted_in=True)
        self.notes(contact)

    def unproven(self, number: str) -> bool:
        """Whether somebody came back without anything that proves it."""
        return number in self.consents.unproven

    def returned(self, number: str) -> bool:
        return not self.unproven(number) and any(
            act.kind == "person_opts_in" and act.record == number for act in self.acts
        )

    def notes(self, contact: Raw) -> None:
        """One for each bounce, deletion and complaint of the household."""
        due = Mail(self.evidence).due
        wanted = sum(due[one.id] for one in self.evidence.households.get(contact["id"], ()))
        for n in range(len(contact["notes"]), wanted):
            body = {"contactId": contact["id"], "type": "General", "note": f"Something happened ({n})"}
            self.crm("POST", "/api/ContactNote", body)
            contact["notes"].append(body)

    def custom(self, number: str, contact: Raw) -> None:
        """What the person filled in, unless staff wrote the same field. Of a merged household the first one speaks, and
        the others fill what is empty."""
        held = {one["name"]: one["value"] for one in contact["customFields"]}
        speaks = number == min(one["id"] for one in contact["contactReferences"] if one["source"] == SOURCE)
        wanted = dict(held)
        for pair in custom.pairs(self.evidence):
            words = custom.words(pair, self.audience[number])
            staffed = any(
                a.kind == "staff_sets_custom" and a.record == str(contact["id"]) and a.data["name"] == pair.name
                for a in self.acts
            )
            free = not staffed and (speaks or not held.get(pair.name))
            if pair.carried and words and free and (not pair.options or words in pair.options):
                wanted[pair.name] = words
        if wanted != held:
            kept = {name: contact[name] for name in WRITABLE}
            rows = [{"name": name, "value": value} for name, value in wanted.items()]
            self.crm("PUT", f"/api/Contact/{contact['id']}", {**kept, "customFields": rows})
            contact["customFields"] = rows

    def opt(self, method: Raw, opted_in: bool) -> None:
        body = {"type": method["type"], "value": method["value"], "isOptedIn": opted_in}
        self.crm("PUT", f"/api/ContactMethod/{method['id']}", body)

    def staffed(self, kind: str, record: Any, name: str = "") -> bool:
        return any(
            a.kind == kind and a.record == str(record) and (not name or a.data.get(name) is not None) for a in self.acts
        )

    def name(self, number: str, raw: Raw, contact: Raw, individual: Raw) -> None:
        body = {"firstName": individual["firstName"], "lastName": individual["lastName"]}
        before = dict(body)
        for source, target in fields.NAMES:
            staffed = self.staffed("staff_renames", individual["id"], source) or self.staffed(
                "add_contact", contact["id"]
            )
            if raw.get(source) and not staffed:
                body[target] = raw[source]
        if body != before:
            self.crm("PUT", f"/api/ContactIndividual/{individual['id']}", body)

    def telephone(self, raw: Raw, contact: Raw, individual: Raw) -> None:
        wanted = self.phone(raw)
        if wanted is None or self.staffed("staff_sets_phone", individual["id"]):
            return
        phones = [m for m in individual["contactMethods"] if fields.is_phone(m)]
        if any(fields.phone(m["value"]) == fields.phone(wanted) for m in phones):
            return
        if phones:
            body = {"type": phones[0]["type"], "value": wanted, "isOptedIn": phones[0]["isOptedIn"]}
            self.crm("PUT", f"/api/ContactMethod/{phones[0]['id']}", body)
        else:
            body = {"contactIndividualId": individual["id"], "type": "Mobile Phone", "value": wanted}
            self.crm("POST", "/api/ContactMethod", body)

    def address(self, raw: Raw, contact: Raw) -> None:
        place = fields.preferred(raw["street_addresses"], fields.ADDRESS_ORDER)
        if place is None or self.staffed("staff_sets_address", contact["id"]):
            return
        body = {"address1": place["street"], "city": place.get("city"), "state": place.get("state")}
        body |= {"postal": place.get("postal_code"), "country": place.get("country"), "label": "Home"}
        live = contact["address"]
        if live is None:
            self.crm("POST", "/api/ContactAddress", {"contactId": contact["id"], **body, "setAsPrimary": True})
        elif len(contact["contactReferences"]) == 1 and fields.crm_address(live) != fields.audience_address(place):
            self.crm("PUT", f"/api/ContactAddress/{live['id']}", {**body, "setAsPrimary": True})

    def staff_tags(self, number: str, contact: Raw) -> None:
        ids = {self.evidence.tag_of(one): one for one in (*self.evidence.list_names, *self.evidence.audience_tags)}
        for act in self.acts:
            if act.kind in ("staff_adds_tag", "staff_removes_tag") and act.record == str(contact["id"]):
                label, added = ids[act.data["tag_name"]], act.kind == "staff_adds_tag"
                is_list = label in self.evidence.list_names
                has = self.audience[number]["list_memberships" if is_list else "taggings"]
                if (label in has) != added:
                    body = {"source": {"contact_ids": [number]}, "list_ids" if is_list else "tag_ids": [label]}
                    jobs = ("add_list_memberships", "remove_list_memberships")
                    jobs = jobs if is_list else ("contacts_taggings_add", "contacts_taggings_remove")
                    self.cc("POST", f"/v3/activities/{jobs[0] if added else jobs[1]}", "", body)
                    self.world.advance(self.world.now + 31)

    def household_tags(self) -> None:
        self.evidence = Evidence(self.world)
        for household in self.evidence.households.values():
            contact = household[0].contact
            if contact is None or not any(one.mailable for one in household):
                continue
            wanted = set().union(*(self.evidence.labels_of(one) for one in household))
            have = {tag for tag in contact["tags"] if self.evidence.ours(tag)}
            for tag in sorted(wanted - have):
                self.crm("POST", "/api/ContactTag", {"contactId": contact["id"], "tagId": self.tags[tag]})
            for tag in sorted(have - wanted):
                joins = self.crm("GET", f"/api/ContactTag/ByContact/{contact['id']}", None, "take=100").json()["list"]
                join = next(one["contactTagId"] for one in joins if one["name"] == tag)
                self.crm("DELETE", f"/api/ContactTag/{join}")

    def claims(self) -> list[Raw]:
        found = []
        self.look()
        evidence = Evidence(self.world)
        for number, member in evidence.members.items():
            reason = self.planted(number)
            if member.mailable and member.linked and member.method and not member.method["isOptedIn"] and not reason:
                bounced = self.bounced.get(number)
                reason = "" if bounced == member.address else "bounce_lapsed" if bounced else "back_without_own_act"
            state = "parked" if reason else "in_step" if member.linked else "left_out"
            found.append({"record_id": number, "state": state, "reason": reason})
        return found


def lived(
    seed: int = 1,
    count: int = 40,
    days: int = 3,
    rows: list[crowd.Person] | None = None,
    switches: dict[str, dict[str, str]] | None = None,
) -> tuple[World, Oracle, Week]:
    """A whole week with the oracle at work every quarter of an hour while something is left to do."""
    world = World(seed, switches)
    credentials = crowd.first_customer(world)
    week = Week(world, rows or crowd.generated(seed, count), days, 0, PREFIX)
    oracle = Oracle(world, credentials)
    swept = 0.0
    while not week.done:
        if world.now - swept >= 86_400 / 4 and world.now < week.span.quiet:
            swept = world.now
            oracle.sweep()
        if len(world.log.acts) != oracle.acts_read or world.faults.armed or world.now < week.span.quiet:
            oracle.acts_read = len(world.log.acts)
            oracle.tick()
        goal = min(week.span.end, world.now + 900)
        while world.now < goal:
            dues = [due for due in (world.next_due(), week.next_due(), goal) if due is not None]
            world.advance(max(world.now + 0.001, min(dues)))
            week.run_due()
            for delivery in world.due_deliveries():
                world.delivered(delivery, 200)
    return world, oracle, week
