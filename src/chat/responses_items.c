#include "responses_items.h"

#include <string.h>

#include "emit.h"
#include "err.h"
#include "member.h"

enum { ID_BYTES_MAX = 128 };

static const struct {
    struct str type;
    enum item_kind kind;
    enum chat_tool_kind tool;
} kinds[] = {
    { S_INIT("message"), ITEM_MESSAGE, CHAT_TOOL_FUNCTION },
    { S_INIT("reasoning"), ITEM_REASONING, CHAT_TOOL_FUNCTION },
    { S_INIT("function_call"), ITEM_FUNCTION, CHAT_TOOL_FUNCTION },
    { S_INIT("custom_tool_call"), ITEM_CUSTOM, CHAT_TOOL_CUSTOM },
    { S_INIT("local_shell_call"), ITEM_LOCAL_SHELL, CHAT_TOOL_LOCAL_SHELL },
    { S_INIT("shell_call"), ITEM_SHELL, CHAT_TOOL_SHELL },
    { S_INIT("apply_patch_call"), ITEM_APPLY_PATCH, CHAT_TOOL_APPLY_PATCH },
    { S_INIT("tool_search_call"), ITEM_TOOL_SEARCH, CHAT_TOOL_SEARCH },
    { S_INIT("web_search_call"), ITEM_WEB_SEARCH, CHAT_TOOL_FUNCTION },
};

static enum item_kind kind_of(struct convert *c, struct json_node *node)
{
    struct str type = member_str(c, node, S("type"));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(type, kinds[i].type)) {
            bool vendors = kinds[i].kind == ITEM_TOOL_SEARCH &&
                           member_is(c, node, S("execution"), S("server"));
            return vendors ? ITEM_IGNORED : kinds[i].kind;
        }
    return ITEM_IGNORED;
}

/* ---- the list ---- */

static struct item *items_add(struct convert *c, struct items *all, int64_t index, struct str id)
{
    if (all->count == ITEMS_MAX)
        return NULL;
    if (all->count == all->cap) {
        uint32_t cap = all->cap == 0 ? 16 : all->cap * 2;
        struct item **list = arena_new(&c->arena, struct item *, cap);
        if (all->count > 0)
            memcpy(list, all->list, all->count * sizeof(struct item *));
        all->list = list;
        all->cap = cap;
    }
    struct item *it = arena_new(&c->arena, struct item, 1);
    it->index = index;
    /* never empty: encoders tell items apart by it */
    it->id = id.n > 0 ? arena_str(&c->arena, str_slice(id, 0, ID_BYTES_MAX))
                      : arena_printf(&c->arena, "item_%u", all->count);
    it->piece = -1;
    buf_init(&it->held, c->options.reply_limit_bytes);
    all->list[all->count++] = it;
    return it;
}

static struct item *find_index(const struct items *all, int64_t index)
{
    if (index >= 0 && index < all->count && all->list[index]->index == index)
        return all->list[index];
    for (uint32_t i = all->count; i-- > 0;)
        if (all->list[i]->index == index)
            return all->list[i];
    return NULL;
}

static struct item *find_id(const struct items *all, struct str id)
{
    struct str clipped = str_slice(id, 0, ID_BYTES_MAX);
    for (uint32_t i = all->count; clipped.n > 0 && i-- > 0;)
        if (str_eq(all->list[i]->id, clipped))
            return all->list[i];
    return NULL;
}

struct item *items_get(struct convert *c, struct items *all, int64_t index, struct str id)
{
    struct item *it = NULL;
    if (index >= 0)
        it = find_index(all, index);
    else if (id.n > 0)
        it = find_id(all, id);
    else if (all->count > 0 && all->list[all->count - 1]->state != ITEM_DONE)
        it = all->list[all->count - 1];
    return it != NULL ? it : items_add(c, all, index, id);
}

static bool same_id(struct str x, struct str y)
{
    return x.n > 0 && str_eq(str_slice(x, 0, ID_BYTES_MAX), str_slice(y, 0, ID_BYTES_MAX));
}

static struct item *find_call(const struct items *all, struct str call_id)
{
    for (uint32_t i = 0; i < all->count; i++)
        if (!all->list[i]->listed && same_id(all->list[i]->call_id, call_id))
            return all->list[i];
    return NULL;
}

/* By place, else the first of its kind that no other has been: relays make new ids, and leave items
 * out.  A call that says which one it is can be no other. */
static struct item *find_unlisted(const struct items *all, int64_t index, enum item_kind kind,
                                  struct str call_id)
{
    struct item *at = find_index(all, index);
    for (uint32_t i = 0; i <= all->count; i++) {
        struct item *it = i == 0 ? at : all->list[i - 1];
        if (it == NULL || it->listed || (call_id.n > 0 && it->call_id.n > 0))
            continue;
        if (it->kind == kind || (it == at && it->state == ITEM_NEW))
            return it;
    }
    return NULL;
}

struct item *items_match(struct convert *c, struct items *all, int64_t index,
                         struct json_node *node)
{
    struct str id = member_str(c, node, S("id")), call_id = member_str(c, node, S("call_id"));
    enum item_kind kind = kind_of(c, node);
    struct item *it = find_id(all, id);
    if (it == NULL || (it->kind != kind && it->state != ITEM_NEW))
        it = find_call(all, call_id);
    if (it == NULL || (it->kind != kind && it->state != ITEM_NEW))
        it = find_unlisted(all, index, kind, call_id);
    if (it == NULL)
        it = items_add(c, all, -1, id);
    if (it != NULL)
        it->listed = true;
    return it;
}

void items_done(struct items *all)
{
    for (uint32_t i = 0; i < all->count; i++)
        buf_done(&all->list[i]->held);
}

/* ---- parts ---- */

static int part_start(struct convert *c, struct item *it, enum part_kind kind)
{
    struct chat_event ev = { .kind = EVENT_PART_START, .part = emit_next_part(c) };
    ev.part_start.kind = kind;
    ev.part_start.place = event_place(it->index);
    /* only so that encoders can tell items apart */
    ev.part_start.item_id =
        it->id.n > 0 ? it->id : arena_printf(c->temp, "item_%lld", (long long)it->index);
    it->part = ev.part;
    it->open = true;
    return emit(c, &ev);
}

static int call_start(struct convert *c, struct items *all, struct item *it, struct json_node *node,
                      struct str name)
{
    struct chat_event ev = { .kind = EVENT_PART_START, .part = emit_next_part(c) };
    ev.part_start.kind = PART_CALL;
    ev.part_start.place = event_place(it->index);
    ev.part_start.item_id = it->id;
    ev.part_start.call_id = member_str(c, node, S("call_id"));
    if (ev.part_start.call_id.n == 0)
        ev.part_start.call_id = it->call_id;
    else
        it->call_id = arena_str(&c->arena, str_slice(ev.part_start.call_id, 0, ID_BYTES_MAX));
    ev.part_start.name = name;
    ev.part_start.space = member_str(c, node, S("namespace"));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].kind == it->kind)
            ev.part_start.tool = kinds[i].tool;
    it->part = ev.part;
    it->open = true;
    all->client_call = true;
    return emit(c, &ev);
}

static int part_stop(struct convert *c, struct item *it, const struct chat_proof *proof, bool cut)
{
    if (!it->open)
        return 0;
    it->open = false;
    return emit_stop(c, it->part, proof, cut);
}

/* The name under which a call is known; the built-in kinds have none of their own. */
static struct str call_name(struct convert *c, const struct item *it, struct json_node *node)
{
    static const struct str names[] = {
        [ITEM_LOCAL_SHELL] = S_INIT("local_shell"),
        [ITEM_SHELL] = S_INIT("shell"),
        [ITEM_APPLY_PATCH] = S_INIT("apply_patch"),
        [ITEM_TOOL_SEARCH] = S_INIT("tool_search"),
    };
    if (it->kind == ITEM_FUNCTION || it->kind == ITEM_CUSTOM)
        return member_str(c, node, S("name"));
    return names[it->kind];
}

int item_added(struct convert *c, struct items *all, struct item *it, struct json_node *node)
{
    if (it->state != ITEM_NEW)
        return 0;
    it->state = ITEM_ADDED;
    it->kind = kind_of(c, node);
    if (it->kind == ITEM_IGNORED || it->kind == ITEM_MESSAGE)
        return 0;
    if (it->kind == ITEM_REASONING)
        return part_start(c, it, PART_REASONING);
    if (it->kind == ITEM_WEB_SEARCH)
        return part_start(c, it, PART_SEARCH);
    struct str name = call_name(c, it, node);
    if (name.n > 0)
        return call_start(c, all, it, node, name);
    it->call_id = arena_str(&c->arena, member_str(c, node, S("call_id")));
    return 0;
}

/* ---- pieces ---- */

static uint64_t hash_add(uint64_t hash, struct str s)
{
    if (hash == 0)
        hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < s.n; i++)
        hash = (hash ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return hash;
}

/* What of a whole piece has not come as deltas: all of it, or what follows what came (C4.2). */
static struct str unsent(const struct item *it, struct str whole)
{
    if (it->sent_bytes == 0)
        return whole;
    if (whole.n <= it->sent_bytes ||
        hash_add(0, str_slice(whole, 0, it->sent_bytes)) != it->sent_hash)
        return S("");
    return str_slice(whole, it->sent_bytes, whole.n);
}

static int send_text(struct convert *c, struct item *it, struct str raw, struct str logprobs)
{
    it->sent_logprobs = it->sent_logprobs || logprobs.n > 0;
    it->sent_hash = hash_add(it->sent_hash, raw);
    it->sent_bytes += raw.n;
    it->any_text = true;
    return emit_text(c, it->part, raw, logprobs);
}

static int send_delta(struct convert *c, struct item *it, struct str raw)
{
    return send_text(c, it, raw, S(""));
}

/* Turns to a piece.  False: it is one that is over. */
static bool turn_to(struct item *it, enum item_family family, int64_t piece, bool *ret_new)
{
    if (piece < 0)
        piece = it->piece < 0 ? 0 : it->piece;
    if (piece < it->piece)
        return false;
    *ret_new = piece > it->piece || family != it->family;
    if (*ret_new) {
        it->sent_hash = 0;
        it->sent_bytes = 0;
        it->sent_logprobs = false;
    }
    it->piece = piece;
    it->family = family;
    return true;
}

static int text_piece(struct convert *c, struct item *it, enum item_family family, int64_t piece,
                      const struct event_delta *delta, bool whole)
{
    bool is_new;
    if (!turn_to(it, family, piece, &is_new))
        return 0;
    if (is_new) {
        it->annotations = 0;
        int r = part_stop(c, it, NULL, false);
        if (r < 0)
            return r;
    }
    struct str rest = whole ? unsent(it, delta->raw) : delta->raw;
    struct str logprobs = whole && it->sent_logprobs ? S("") : delta->logprobs;
    if (rest.n == 0 && logprobs.n == 0)
        return 0;
    if (!it->open) {
        int r = part_start(c, it, family == FAMILY_REFUSAL ? PART_REFUSAL : PART_TEXT);
        if (r < 0)
            return r;
    }
    return send_text(c, it, rest, logprobs);
}

/* All pieces of one item are one part, a blank line between them (C4.2). */
static int reasoning_piece(struct convert *c, struct item *it, enum item_family family,
                           int64_t piece, struct str raw, bool whole)
{
    bool is_new;
    if (it->family != FAMILY_NONE && it->family != family)
        return 0; /* the same thoughts in other words */
    if (!turn_to(it, family, piece, &is_new))
        return 0;
    struct str rest = whole ? unsent(it, raw) : raw;
    if (rest.n == 0)
        return 0;
    if (it->sent_bytes == 0 && it->any_text) {
        int r = emit_delta(c, it->part, S("\\n\\n"));
        if (r < 0)
            return r;
    }
    return send_delta(c, it, rest);
}

static int call_piece(struct convert *c, struct item *it, struct str raw, bool whole)
{
    if (it->open) {
        struct str rest = whole ? unsent(it, raw) : raw;
        return rest.n == 0 ? 0 : send_delta(c, it, rest);
    }
    if (!whole || buf_len(&it->held) == 0)
        buf_add(&it->held, raw);
    return it->held.overflow ? E_UPSTREAM_EVENT : 0;
}

/* Deltas of an item that was never added: a server that leaves these events out. */
static int imply(struct convert *c, struct item *it, enum item_family family)
{
    static const enum item_kind implied[] = {
        [FAMILY_NONE] = ITEM_IGNORED,        [FAMILY_TEXT] = ITEM_MESSAGE,
        [FAMILY_REFUSAL] = ITEM_MESSAGE,     [FAMILY_SUMMARY] = ITEM_REASONING,
        [FAMILY_REASONING] = ITEM_REASONING, [FAMILY_ARGUMENTS] = ITEM_FUNCTION,
        [FAMILY_INPUT] = ITEM_CUSTOM,
    };
    it->state = ITEM_ADDED;
    it->kind = implied[family];
    return it->kind == ITEM_REASONING ? part_start(c, it, PART_REASONING) : 0;
}

int item_piece(struct convert *c, struct item *it, enum item_family family, int64_t piece,
               const struct event_delta *delta, bool whole)
{
    if (it->state == ITEM_NEW) {
        int r = imply(c, it, family);
        if (r < 0)
            return r;
    }
    if (it->state == ITEM_DONE)
        return 0;
    if (it->kind == ITEM_MESSAGE && (family == FAMILY_TEXT || family == FAMILY_REFUSAL))
        return text_piece(c, it, family, piece, delta, whole);
    if (it->kind == ITEM_REASONING && (family == FAMILY_SUMMARY || family == FAMILY_REASONING))
        return reasoning_piece(c, it, family, piece, delta->raw, whole);
    if ((it->kind == ITEM_FUNCTION && family == FAMILY_ARGUMENTS) ||
        (it->kind == ITEM_CUSTOM && family == FAMILY_INPUT))
        return call_piece(c, it, delta->raw, whole);
    return 0;
}

int item_annotation(struct convert *c, struct item *it, struct json_node *node)
{
    if (!it->open || it->family != FAMILY_TEXT)
        return 0;
    it->annotations++;
    if (!member_is(c, node, S("type"), S("url_citation")))
        return 0;
    struct chat_event ev = { .kind = EVENT_CITATION, .part = it->part };
    ev.citation.url = member_text(c, node, S("url"));
    ev.citation.title = member_text(c, node, S("title"));
    ev.citation.from = member_i64(c, node, S("start_index"));
    ev.citation.to = member_i64(c, node, S("end_index"));
    return emit(c, &ev);
}

/* ---- whole items ---- */

static int annotations_rest(struct convert *c, struct item *it, struct json_node *part)
{
    struct json_node *list = member_node(c, part, S("annotations"));
    uint32_t i = 0;
    for (struct json_node *n = json_first(&c->doc, list); n != NULL; n = json_next(n))
        if (i++ >= it->annotations) {
            int r = item_annotation(c, it, n);
            if (r < 0)
                return r;
        }
    return 0;
}

static int message_whole(struct convert *c, struct item *it, struct json_node *node)
{
    int64_t at = 0;
    struct json_node *list = member_node(c, node, S("content"));
    for (struct json_node *n = json_first(&c->doc, list); n != NULL; n = json_next(n), at++) {
        bool refusal = member_is(c, n, S("type"), S("refusal"));
        if (at < it->piece || (!refusal && !member_is(c, n, S("type"), S("output_text"))))
            continue;
        struct event_delta content = {
            .raw = member_inside(c, n, refusal ? S("refusal") : S("text")),
            .logprobs = refusal ? S("") : member_elements(c, n, S("logprobs")),
        };
        int r = item_piece(c, it, refusal ? FAMILY_REFUSAL : FAMILY_TEXT, at, &content, true);
        if (r == 0 && !refusal)
            r = annotations_rest(c, it, n);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The item as it must come back (0.7): without null members and without its status. */
static struct str item_as_sent(struct convert *c, struct json_node *node)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, SIZE_MAX);
    json_out_init(&o, &b);
    json_out_object(&o);
    for (struct json_node *n = json_first(&c->doc, node); n != NULL; n = json_next(n)) {
        struct str name = json_name(&c->doc, n);
        if (json_type(n) != JSON_NULL && !str_eq(name, S("status")))
            json_out_member_raw(&o, name, json_raw(&c->doc, n));
    }
    json_out_object_end(&o);
    struct str item = arena_str(c->temp, buf_str(&b));
    buf_done(&b);
    return item;
}

static int reasoning_whole(struct convert *c, struct item *it, struct json_node *node, bool cut)
{
    struct json_node *list = member_node(c, node, S("summary"));
    enum item_family family = FAMILY_SUMMARY;
    int64_t at = 0;
    if (json_first(&c->doc, list) == NULL) {
        list = member_node(c, node, S("content"));
        family = FAMILY_REASONING;
    }
    for (struct json_node *n = json_first(&c->doc, list); n != NULL; n = json_next(n), at++) {
        struct event_delta content = { .raw = member_inside(c, n, S("text")) };
        int r = item_piece(c, it, family, at, &content, true);
        if (r < 0)
            return r;
    }
    struct chat_proof proof = { .kind = CHAT_PROOF_NONE };
    proof.opaque = member_text(c, node, S("encrypted_content"));
    if (proof.opaque.n > 0) {
        proof.kind = CHAT_PROOF_ITEM;
        proof.raw = item_as_sent(c, node);
    }
    return part_stop(c, it, &proof, cut);
}

static void copy_member(struct convert *c, struct json_out *o, struct json_node *from,
                        struct str name, struct str to)
{
    struct str raw = member_raw(c, from, name);
    if (raw.n > 0)
        json_out_member_raw(o, to, raw);
}

/* The arguments of the fixed schema (C1.5) out of a built-in item. */
static struct str builtin_arguments(struct convert *c, enum item_kind kind, struct json_node *node)
{
    if (kind == ITEM_APPLY_PATCH)
        return member_raw(c, node, S("operation"));
    if (kind == ITEM_TOOL_SEARCH)
        return member_raw(c, node, S("arguments"));
    struct buf b;
    struct json_out o;
    struct json_node *action = member_node(c, node, S("action"));
    buf_init(&b, SIZE_MAX);
    json_out_init(&o, &b);
    json_out_object(&o);
    if (kind == ITEM_SHELL) {
        copy_member(c, &o, action, S("commands"), S("commands"));
        copy_member(c, &o, action, S("timeout_ms"), S("timeout_ms"));
        copy_member(c, &o, action, S("max_output_length"), S("max_output_length"));
    } else {
        copy_member(c, &o, action, S("command"), S("command"));
        copy_member(c, &o, action, S("working_directory"), S("workdir"));
        copy_member(c, &o, action, S("timeout_ms"), S("timeout_ms"));
        copy_member(c, &o, action, S("env"), S("env"));
    }
    json_out_object_end(&o);
    struct str arguments = arena_str(c->temp, buf_str(&b));
    buf_done(&b);
    return arguments;
}

/* A call's arguments or input: a string by the book, an object at some servers. */
static struct str call_inside(struct convert *c, enum item_kind kind, struct json_node *node)
{
    struct str plain;
    if (kind == ITEM_FUNCTION || kind == ITEM_CUSTOM) {
        struct str name = kind == ITEM_CUSTOM ? S("input") : S("arguments");
        struct json_node *n = member_node(c, node, name);
        if (n == NULL || json_type(n) == JSON_STRING)
            return member_inside(c, node, name);
        plain = member_raw(c, node, name);
    } else {
        plain = builtin_arguments(c, kind, node);
    }
    struct text t = text_escape(c->temp, plain);
    return (struct str){ t.p, t.n };
}

static int call_whole(struct convert *c, struct items *all, struct item *it, struct json_node *node,
                      bool cut)
{
    struct str inside = call_inside(c, it->kind, node);
    if (!it->open) {
        struct str name = call_name(c, it, node);
        int r = call_start(c, all, it, node, name.n > 0 ? name : S("unknown_tool"));
        if (r == 0 && inside.n == 0 && buf_len(&it->held) > 0)
            r = send_delta(c, it, buf_str(&it->held));
        if (r < 0)
            return r;
    }
    int r = call_piece(c, it, inside, true);
    return r < 0 ? r : part_stop(c, it, NULL, cut);
}

static int search_whole(struct convert *c, struct item *it, struct json_node *node)
{
    struct json_node *action = member_node(c, node, S("action"));
    struct str query = member_inside(c, action, S("query"));
    if (query.n == 0)
        query = text_inside(&c->doc, json_first(&c->doc, member_node(c, action, S("queries"))));
    int r = query.n == 0 ? 0 : send_delta(c, it, query);
    return r < 0 ? r : part_stop(c, it, NULL, false);
}

int item_whole(struct convert *c, struct items *all, struct item *it, struct json_node *node)
{
    bool cut = member_is(c, node, S("status"), S("incomplete"));
    int r = item_added(c, all, it, node);
    if (r < 0 || it->state == ITEM_DONE)
        return r;
    switch (it->kind) {
    case ITEM_IGNORED:
        break;
    case ITEM_MESSAGE:
        r = message_whole(c, it, node);
        if (r == 0)
            r = part_stop(c, it, NULL, cut);
        break;
    case ITEM_REASONING:
        r = reasoning_whole(c, it, node, cut);
        break;
    case ITEM_WEB_SEARCH:
        r = search_whole(c, it, node);
        break;
    case ITEM_FUNCTION:
    case ITEM_CUSTOM:
    case ITEM_LOCAL_SHELL:
    case ITEM_SHELL:
    case ITEM_APPLY_PATCH:
    case ITEM_TOOL_SEARCH:
        r = call_whole(c, all, it, node, cut);
        break;
    }
    it->state = ITEM_DONE;
    buf_done(&it->held);
    return r;
}

int items_finish(struct convert *c, struct items *all, bool cut)
{
    for (uint32_t i = 0; i < all->count; i++) {
        struct item *it = all->list[i];
        int r = 0;
        if (it->state == ITEM_DONE)
            continue;
        if (!it->open && buf_len(&it->held) > 0)
            r = call_whole(c, all, it, NULL, cut); /* its end never came */
        if (r == 0)
            r = part_stop(c, it, NULL, cut);
        it->state = ITEM_DONE;
        if (r < 0)
            return r;
    }
    return 0;
}
