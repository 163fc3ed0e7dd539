"""Every disputed or unknown behaviour of Virtuous that this stand-in can show both ways; the default is first."""

from keepstep_sandbox.switches import Switch

SWITCHES: tuple[Switch, ...] = (
    # The door.
    Switch("hourly-limit", ("1500", "5000"), "Virtuous facts 4, 17, 18.1"),
    Switch("unauthorized-body", ("json", "text"), "Virtuous facts 3, 18.2"),
    Switch("error-body", ("legacy", "envelope"), "Virtuous facts 5, 18.2"),
    Switch("paging-place", ("query", "body"), "Virtuous facts 6, 17, 18.3"),
    # Imports.
    Switch("import-run", ("all", "ready", "manual"), "Virtuous facts 10.3, 17, 18.4"),
    Switch("import-email", ("add", "replace"), "Virtuous facts 10.4, 18.4"),
    Switch("opt-in-default", ("true", "false"), "Virtuous facts 7.3, 18.4"),
    Switch("unknown-tag", ("create", "update-needed"), "Virtuous facts 10.4, 18.4"),
    Switch("unknown-segment", ("update-needed", "ignore"), "Virtuous facts 10.1"),
    Switch(
        "unknown-option", ("refused", "ignored", "stored"), "Virtuous facts 7.5: exactly one option, case-sensitive"
    ),
    Switch("custom-field-types", ("live", "guide"), "Virtuous facts 7.5, 17: DateTime, List or Date, Dropdown"),
    Switch("import-midnight", ("organization", "utc"), "Virtuous facts 10.3, 19: time zone of midnight"),
    Switch("batch-size", ("unlimited", "100"), "Virtuous facts 10.2"),
    Switch("batch-bad-row", ("fails-all", "skipped"), "Virtuous facts 10.2"),
    # Direct writes.
    Switch("put-contact", ("keep-name-and-type", "replace", "patch"), "Virtuous facts 6, 17, 18.5"),
    Switch("put-individual", ("replace", "patch"), "Virtuous facts 6, 17, 18.5"),
    Switch("put-address", ("replace", "patch"), "Virtuous facts 6, 17, 18.5"),
    Switch("put-method", ("keep-primary", "replace", "patch"), "Virtuous facts 6, 17, 18.5"),
    Switch("write-without-change", ("silent", "touches"), "Virtuous facts 13.2, 14"),
    Switch("shared-email", ("allowed", "409"), "Virtuous facts 5, 11"),
    Switch("reference-clash", ("400", "move"), "Virtuous facts 11"),
    Switch("tag-twice", ("existing", "400"), "Virtuous facts 11, 18.9"),
    Switch("country", ("full-name", "as-sent"), "Virtuous facts 7.4"),
    # Reading.
    Switch("archived-flag", ("absent", "present"), "Virtuous facts 7.1, 17"),
    Switch("contact-tags", ("strings", "objects"), "Virtuous facts 7.1, 17"),
    Switch("archived-read", ("200", "404"), "Virtuous facts 19"),
    Switch("merged-read", ("200", "404"), "Virtuous facts 7.6, 19"),
    Switch("merge-carries", ("everything", "people"), "Virtuous facts 7.6"),
    Switch("find-shared-email", ("oldest", "newest"), "Virtuous facts 8"),
    Switch(
        "modified-parameter", ("present", "absent"), "Virtuous facts 9: not every organization had Last Modified Date"
    ),
    Switch("query-date", ("day", "instant"), "Virtuous facts 9, 19"),
    # Webhooks.
    Switch("webhook-envelope", ("observed", "guide"), "Virtuous facts 13.3, 17, 18.7"),
    Switch("webhook-record", ("full", "lean"), "Virtuous facts 13.3, 19"),
    Switch("webhook-delay", ("seconds", "none", "hours"), "Virtuous facts 13.5, 18.7"),
    Switch("webhook-duplicates", ("scripted", "sometimes"), "Virtuous facts 13.5, 18.7"),
    Switch("webhook-exhausted", ("keep", "deactivate"), "Virtuous facts 13.5"),
    Switch("reference-event", ("fires", "silent"), "Virtuous facts 13.2, 19"),
    Switch("signature-header", ("X-Virtuous-Signature", "X-Webhook-Signature"), "Virtuous facts 13.4, 18.7"),
    Switch("signature-encoding", ("base64", "hex"), "Virtuous facts 13.4, 17, 18.7"),
    Switch("payload-url", ("https-or-loopback", "https"), "Virtuous facts 13.1"),
)
