#include "completions_details.h"

#include "err.h"
#include "json.h"
#include "member.h"

void completions_details_init(struct completions_details *d, size_t limit_bytes)
{
    buf_init(&d->entries, limit_bytes);
    buf_init(&d->head, limit_bytes);
    buf_init(&d->text, limit_bytes);
    buf_init(&d->signature, limit_bytes);
}

void completions_details_done(struct completions_details *d)
{
    buf_done(&d->entries);
    buf_done(&d->head);
    buf_done(&d->text);
    buf_done(&d->signature);
}

static bool overflow(const struct completions_details *d)
{
    return d->entries.overflow || d->head.overflow || d->text.overflow || d->signature.overflow;
}

static void add_comma(struct completions_details *d)
{
    if (buf_len(&d->entries) > 0)
        buf_add_byte(&d->entries, ',');
}

static void add_string(struct buf *out, const char *name, struct buf *inside)
{
    buf_addf(out, "\"%s\":\"", name);
    buf_add(out, buf_str(inside));
    buf_add_byte(out, '"');
}

static void close_entry(struct completions_details *d)
{
    if (!d->open)
        return;
    d->open = false;
    text_add(&d->text, text_join_end(&d->half));
    add_comma(d);
    buf_addf(&d->entries, "{\"type\":\"%s\",",
             d->is_summary ? "reasoning.summary" : "reasoning.text");
    add_string(&d->entries, d->is_summary ? "summary" : "text", &d->text);
    if (buf_len(&d->signature) > 0) {
        buf_add_byte(&d->entries, ',');
        add_string(&d->entries, "signature", &d->signature);
    }
    buf_add(&d->entries, buf_str(&d->head));
    buf_add_byte(&d->entries, '}');
    if (overflow(d))
        return; /* it stays set until somebody has seen it */
    buf_clear(&d->head);
    buf_clear(&d->text);
    buf_clear(&d->signature);
}

static void open_entry(struct convert *c, struct completions_details *d, struct json_node *entry)
{
    static const struct str own[] = { S_INIT("type"), S_INIT("text"), S_INIT("summary"),
                                      S_INIT("signature") };
    d->open = true;
    for (struct json_node *n = json_first(&c->doc, entry); n != NULL; n = json_next(n)) {
        struct str name = json_name(&c->doc, n);
        bool skip = false;
        for (size_t i = 0; i < ARRAY_LEN(own); i++)
            skip = skip || str_eq(name, own[i]);
        if (skip)
            continue;
        buf_add_byte(&d->head, ',');
        json_write_str(&d->head, name);
        buf_add_byte(&d->head, ':');
        buf_add(&d->head, json_compact(c->temp, json_raw(&c->doc, n)));
    }
}

int completions_details_add(struct convert *c, struct completions_details *d,
                            struct json_node *entry)
{
    if (json_type(entry) != JSON_OBJECT)
        return 0;
    bool is_summary = member_is(c, entry, S("type"), S("reasoning.summary"));
    bool in_pieces = is_summary || member_is(c, entry, S("type"), S("reasoning.text"));
    int64_t index = member_i64(c, entry, S("index"));
    if (d->open && (!in_pieces || is_summary != d->is_summary || index != d->index))
        close_entry(d);
    if (!in_pieces) {
        add_comma(d);
        buf_add(&d->entries, json_compact(c->temp, json_raw(&c->doc, entry)));
        return overflow(d) ? E_UPSTREAM_EVENT : 0;
    }
    if (!d->open)
        open_entry(c, d, entry);
    d->is_summary = is_summary;
    d->index = index;
    struct str piece = member_inside(c, entry, is_summary ? S("summary") : S("text"));
    text_add(&d->text, text_join(&d->half, c->temp, piece));
    text_add(&d->signature, member_text(c, entry, S("signature")));
    return overflow(d) ? E_UPSTREAM_EVENT : 0;
}

struct str completions_details_take(struct convert *c, struct completions_details *d)
{
    close_entry(d);
    if (buf_len(&d->entries) == 0)
        return S("");
    struct str s = arena_cat(c->temp, S("["), buf_str(&d->entries));
    buf_clear(&d->entries);
    return arena_cat(c->temp, s, S("]"));
}

struct json_node *completions_details_text(struct convert *c, struct json_node *entry)
{
    struct json_node *text = member_node(c, entry, S("text"));
    return text != NULL ? text : member_node(c, entry, S("summary"));
}
