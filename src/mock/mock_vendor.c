#include "mock_vendor.h"

#include "json.h"

struct str mock_content_text(yyjson_val *content)
{
    struct str text = json_str(content);
    yyjson_arr_iter iter = yyjson_arr_iter_with(content);
    yyjson_val *part;
    while ((part = yyjson_arr_iter_next(&iter)) != NULL)
        if (yyjson_is_str(json_member(part, S("text"))))
            text = json_member_str(part, S("text"));
    return text;
}

struct str mock_result_text(yyjson_val *content)
{
    struct str text = mock_content_text(content);
    return text.p != NULL ? text : S("");
}

/* What stands behind "mock:tool=" in the user's text, up to a blank or the end. */
static struct str tool_asked_for(const struct mock_ask *ask)
{
    static const struct str mark = S_INIT("mock:tool=");
    size_t n = 0, at = str_find(ask->user_text, mark);
    struct str name = str_slice(ask->user_text, at + mark.n, ask->user_text.n);
    while (n < name.n && name.p[n] > ' ')
        n++;
    return str_slice(name, 0, n);
}

bool mock_takes_tool(const struct mock_ask *ask, struct str name)
{
    struct str asked = tool_asked_for(ask);
    return name.n > 0 && (asked.n == 0 || mock_is_tool(name, asked));
}

int mock_refused(struct buf *ret_message, struct str why)
{
    buf_add(ret_message, why);
    return 400;
}

bool mock_is_filled_array(yyjson_val *object, struct str name)
{
    yyjson_val *val = json_member(object, name);
    return yyjson_is_arr(val) && yyjson_arr_size(val) > 0;
}

void mock_ask_read(struct mock_ask *ask, const struct mock_vendor *vendor, yyjson_val *root,
                   struct arena *a)
{
    *ask = (struct mock_ask){ .model = json_member_str(root, S("model")),
                              .stream = json_member_true(root, S("stream")),
                              .max_tokens = UINT64_MAX };
    vendor->read(root, a, ask);
}

void mock_reply_init(struct mock_reply *r, const struct mock_vendor *vendor,
                     const struct mock_plan *plan)
{
    *r = (struct mock_reply){ .vendor = vendor, .plan = *plan };
}

static bool in_calls(const struct mock_reply *r)
{
    return r->phase >= MOCK_PHASE_CALL_OPEN && r->phase <= MOCK_PHASE_CALL_CLOSE;
}

/* The pieces of the phase; NULL when it is one step. */
static const struct mock_pieces *pieces_of(const struct mock_reply *r)
{
    switch (r->phase) {
    case MOCK_PHASE_THINK:
        return &r->plan.thinking;
    case MOCK_PHASE_TEXT:
        return &r->plan.text;
    case MOCK_PHASE_CALL:
        return &r->plan.calls[r->call];
    default:
        return NULL;
    }
}

static bool phase_present(const struct mock_reply *r)
{
    if (r->phase >= MOCK_PHASE_THINK_OPEN && r->phase <= MOCK_PHASE_THINK_CLOSE)
        return r->plan.ask.thinks;
    if (r->phase >= MOCK_PHASE_TEXT_OPEN && r->phase <= MOCK_PHASE_TEXT_CLOSE)
        return r->plan.text.n > 0;
    if (in_calls(r))
        return r->plan.call_count > 0;
    return true;
}

/* The step after this one. */
static void advance(struct mock_reply *r)
{
    if (r->phase == MOCK_PHASE_THINK_CLOSE || r->phase == MOCK_PHASE_TEXT_CLOSE ||
        r->phase == MOCK_PHASE_CALL_CLOSE)
        r->block++;
    if (r->phase == MOCK_PHASE_CALL_CLOSE && !r->vendor->interleaves &&
        r->call + 1 < r->plan.call_count) {
        r->call++;
        r->i = 0;
        r->phase = MOCK_PHASE_CALL_OPEN;
        return;
    }
    r->phase++;
    r->i = 0;
    while (!phase_present(r))
        r->phase++;
}

/* Renders the step: of all calls, when they take turns. */
static void render(struct mock_reply *r, struct buf *out)
{
    if (!in_calls(r) || !r->vendor->interleaves) {
        r->vendor->render(r, out);
        return;
    }
    uint64_t block = r->block;
    for (r->call = 0; r->call < r->plan.call_count; r->call++) {
        if (r->phase != MOCK_PHASE_CALL || r->i < r->plan.calls[r->call].n)
            r->vendor->render(r, out);
        r->block++;
    }
    r->call = 0;
    r->block = block;
}

/* How many steps the phase has; those of calls that take turns, all in one. */
static size_t steps_of(const struct mock_reply *r, const struct mock_pieces *pieces)
{
    size_t n = pieces->n;
    if (in_calls(r) && r->vendor->interleaves)
        for (size_t i = 0; i < r->plan.call_count; i++)
            n = r->plan.calls[i].n > n ? r->plan.calls[i].n : n;
    return n;
}

bool mock_reply_next(struct mock_reply *r, struct buf *out, bool *ret_paced)
{
    size_t before = buf_len(out);
    while (r->phase != MOCK_PHASE_END && buf_len(out) == before) {
        const struct mock_pieces *pieces = pieces_of(r);
        *ret_paced = pieces != NULL;
        if (pieces == NULL) {
            render(r, out);
            advance(r);
        } else if (r->i < steps_of(r, pieces)) {
            render(r, out);
            r->i++;
        } else {
            advance(r);
        }
    }
    return buf_len(out) > before;
}
