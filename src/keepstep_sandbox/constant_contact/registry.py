"""Every point where the sources on Constant Contact disagree or nobody knows, the default first."""

from keepstep_sandbox.switches import Switch

SWITCHES: tuple[Switch, ...] = (
    # token service
    Switch(
        "access_token_lifetime", ("86400", "28800", "short"), "CC facts 2.3: prose and staff, examples; short is 300 s"
    ),
    Switch("expires_in_type", ("number", "string"), "CC facts 2.1"),
    Switch("refresh_mode", ("rotating", "long_lived"), "CC facts 2.4"),
    Switch("refresh_reuse", ("invalid_grant", "revokes_family"), "CC facts 2.4: whether reuse kills the newest token"),
    Switch("refresh_grace", ("0", "5", "60"), "CC facts 2.4: seconds a superseded token still works, not stated"),
    # limits
    Switch("refused_calls_count", ("yes", "no"), "CC facts 3.1: whether 401 and 429 answers count against the day"),
    # wire
    Switch("last_page", ("empty_links", "no_links", "next_null"), "CC facts 1, paging"),
    Switch("date_dialect", ("z", "millis", "offset", "mixed"), "CC facts 1, dates"),
    Switch("error_body", ("array", "object", "gateway", "html"), "CC facts 4"),
    Switch("cursor_extra", ("ignored", "400"), "CC facts 1, paging: parameters beside a cursor"),
    Switch("page_shift", ("off", "insert", "delete"), "CC facts 1, paging: rows shift while a client pages"),
    Switch("date_bounds", ("inclusive", "exclusive"), "CC facts 5.1"),
    Switch("contact_order", ("created", "updated", "newest"), "CC facts 1, paging: order of results"),
    Switch("segment_answer", ("200", "202_first"), "CC facts 5.1, 12: a segment may be worked out first"),
    Switch("list_page", ("50", "1000"), "CC facts 6.1: default 50 and at most 500, or 1,000 and 1,000"),
    # what moves a contact's own updated_at; names and an address change always, an opt-out never
    Switch("updated_at_on_list", ("no", "yes"), "CC facts 5.4"),
    Switch("updated_at_on_tag", ("no", "yes"), "CC facts 5.4"),
    Switch("updated_at_on_custom_field", ("no", "yes"), "CC facts 5.4"),
    Switch("updated_at_on_phone", ("no", "yes"), "CC facts 5.4"),
    Switch("updated_at_on_address", ("no", "yes"), "CC facts 5.4"),
    Switch("updated_at_on_permission", ("no", "yes"), "CC facts 5.4"),
    Switch("updated_at_on_deletion", ("no", "yes"), "CC facts 5.4, 5.5"),
    # contacts
    Switch("put_subresources", ("keeps", "clears"), "CC facts 5.3: specification, staff"),
    Switch("put_without_email", ("clears", "keeps"), "CC facts 5.3: whether omitting email_address clears it"),
    Switch("unsubscribed_keeps_lists", ("yes", "no"), "CC facts 5.5"),
    Switch("deleted_carries_opt_out", ("no", "yes"), "CC facts 5.2: guide, specification"),
    Switch("email_finds_deleted", ("yes", "no"), "CC facts 5.5: email= together with status=all"),
    Switch("conflict_wording", ("with_id", "without_id"), "CC facts 4"),
    Switch("confirmed_opt_in", ("off", "on"), "CC facts 5.3: an account's own setting, read by sign_up_form"),
    Switch("signup_conflict", ("same_instant", "never"), "CC facts 5.3: 409 on two simultaneous forms for one contact"),
    Switch(
        "resubscribe_moves_opt_in_date",
        ("yes", "no"),
        "CC facts 5.2, 5.4: whether opt_in_date is of the last or of the first opt-in",
    ),
    Switch("choice_id_type", ("string", "number"), "CC facts 6.4: choice_id is declared integer, contacts carry text"),
    # campaigns and reports
    Switch(
        "reports_scope",
        ("granted", "missing", "no_privilege"),
        "CC facts 2.2: campaign_data not consented to, or the user's role lacks ui:campaign:metrics",
    ),
    Switch("report_counts", ("strings", "numbers"), "CC facts 8: type drift; 12: numbers as strings in reports"),
    Switch("report_last_page", ("no_links", "empty_links", "href_null"), "CC facts 8: _links may be missing"),
    Switch(
        "complaint",
        ("unsubscribes_with_reason", "unsubscribes", "count_only"),
        "CC facts 8: no report per contact; a complainer presumably becomes unsubscribed",
    ),
    Switch("hard_bounce_holds", ("no", "yes"), "CC facts 8: relation of temp_hold to a bounce"),
    # webhooks
    Switch(
        "contact_webhooks",
        ("off", "array", "object"),
        "CC facts 10, 11: none exist; the recipe expects an array or an object of account_id, contact_id, event_type",
    ),
    # activities
    Switch(
        "activity_duration",
        ("30", "0", "5", "900", "varied"),
        "CC facts 7.2: seconds; varied is 30 s to 15 min from job to job, so that later ones end first",
    ),
    Switch(
        "activity_end",
        ("completed", "cancelled", "failed", "timed_out"),
        "CC facts 7.2; every second job, from the first",
    ),
    Switch(
        "activity_stops",
        ("before", "half_way"),
        "CC facts 7.2: what did not complete did nothing, or the first half of its items; not stated",
    ),
    Switch(
        "activity_error_count",
        ("0", "1"),
        "CC facts 7.2: 1 leaves out the last item of every second job, from the first",
    ),
    Switch("activity_order", ("in_order", "out_of_order"), "CC facts 7.2"),
    Switch("activity_percent", ("100", "below"), "CC facts 7.2: percent_done of a completed job may be below 100"),
    Switch("timed_out_spelling", ("timed_out", "time_out"), "CC facts 7.2"),
    Switch("list_job_adds_unsubscribed", ("no", "yes"), "CC facts 5.2, 6.2: stated for imports only"),
    # imports
    Switch("import_status", ("201", "202"), "CC facts 7.1"),
    Switch(
        "import_revives",
        ("yes", "no", "unsaid"),
        "CC facts 5.5: inferred; unsaid leaves deleted people out and counts them nowhere",
    ),
    Switch(
        "import_duplicates",
        ("in_turn", "last", "first"),
        "CC facts 7.1: of rows of one address the last one wins, over the values of the others or in their place",
    ),
    Switch(
        "import_foreign_phone",
        ("dropped", "correctable"),
        "CC facts 7.1: international numbers are not supported; the number alone is lost, or the row is left out",
    ),
    Switch(
        "import_unknown_field",
        ("row", "400", "dropped"),
        "CC facts 7.1: custom fields must exist; an unknown one costs its row, the whole call or its own value",
    ),
    Switch("import_email_size", ("50", "80"), "CC facts 3.2: the sizes disagree inside the specification"),
    Switch("import_home_country", ("underscore", "space"), "CC facts 7.1: the specification writes one with a space"),
    Switch(
        "import_counts",
        ("imported", "file"),
        "CC facts 7.2: person_count is of who was imported, or of the whole file, whose rows then hold a header",
    ),
    Switch(
        "import_error_text",
        ("plain", "lines", "none"),
        "CC facts 7.2: no row numbers are promised; the v2 edition had some",
    ),
)
