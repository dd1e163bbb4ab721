#include "mock_faults.h"

enum { TOKENS_BEFORE = 3 };

static const struct {
    struct str name; /* ends in '-' when a number follows */
    enum mock_fault_kind kind;
} fault_names[] = {
#define FAULT(name, number, kind, help) { S_INIT(name), MOCK_FAULT_##kind },
#include "mock_faults.def"
#undef FAULT
};

static struct mock_fault parse(struct str text)
{
    struct mock_fault none = { MOCK_FAULT_NONE, 0 }, fault;
    for (size_t i = 0; i < ARRAY_LEN(fault_names); i++) {
        struct str name = fault_names[i].name;
        fault = (struct mock_fault){ fault_names[i].kind, 0 };
        if (!str_ends(name, S("-"))) {
            if (str_eq(text, name))
                return fault;
        } else if (str_starts(text, name)) {
            int e = str_to_u64(str_slice(text, name.n, text.n), &fault.number);
            bool ok = e == 0 && (fault.kind != MOCK_FAULT_STATUS ||
                                 (fault.number >= 200 && fault.number <= 599));
            return ok ? fault : none;
        }
    }
    return none;
}

struct mock_fault mock_fault_find(struct str header, struct str model)
{
    struct mock_fault fault = parse(str_trim(header));
    if (fault.kind != MOCK_FAULT_NONE)
        return fault;
    if (str_starts(model, S("mock-")))
        return parse(str_slice(model, 5, model.n));
    size_t at = str_find(model, S(":mock:"));
    return parse(str_slice(model, at + 6, model.n));
}

static void double_line_ends(struct buf *out)
{
    struct buf crlf;
    struct str rest = buf_str(out), line;
    buf_init(&crlf, SIZE_MAX);
    while (str_next(&rest, '\n', &line)) { /* out ends in LF */
        buf_add(&crlf, line);
        buf_add(&crlf, S("\r\n"));
    }
    buf_done(out);
    *out = crlf;
}

/* The last '}' of the bytes goes: the JSON there is no longer whole. */
static void break_json(struct buf *out)
{
    struct str bytes = buf_str(out), tail;
    size_t at = bytes.n;
    while (at > 0 && bytes.p[at - 1] != '}')
        at--;
    if (at == 0)
        return;
    tail = str_slice(bytes, at, bytes.n); /* line ends: a few bytes */
    must(tail.n <= 2);
    char copy[2] = { tail.n > 0 ? tail.p[0] : '\0', tail.n > 1 ? tail.p[1] : '\0' };
    buf_truncate(out, at - 1);
    buf_add(out, (struct str){ copy, tail.n });
}

/* Is this the place where the reply goes wrong? */
static bool in_the_middle(const struct mock_reply *r, uint64_t tokens, bool paced)
{
    return (paced && tokens == TOKENS_BEFORE + 1) ||
           (r->phase == MOCK_PHASE_END && tokens <= TOKENS_BEFORE);
}

static enum mock_then spoil(struct mock_fault fault, struct mock_reply *r, struct buf *out)
{
    switch (fault.kind) {
    case MOCK_FAULT_STALL:
        buf_clear(out);
        return MOCK_THEN_STALL;
    case MOCK_FAULT_CUT:
        buf_truncate(out, buf_len(out) / 2);
        return MOCK_THEN_ABORT;
    case MOCK_FAULT_RESET:
        buf_truncate(out, buf_len(out) / 2);
        return MOCK_THEN_RESET;
    case MOCK_FAULT_CUT_CLEAN:
        buf_clear(out);
        return MOCK_THEN_END;
    case MOCK_FAULT_INVALID_JSON:
        break_json(out);
        return MOCK_THEN_MORE;
    case MOCK_FAULT_ERROR_EVENT:
        buf_clear(out);
        r->vendor->error_event(r, out);
        return MOCK_THEN_END;
    default:
        return MOCK_THEN_MORE;
    }
}

enum mock_then mock_fault_next(struct mock_fault fault, struct mock_reply *r, uint64_t *tokens,
                               struct buf *out)
{
    bool paced = false;
    enum mock_then then = MOCK_THEN_MORE;
    uint64_t sequence = r->sequence;
    must(buf_len(out) == 0);
    if (!mock_reply_next(r, out, &paced))
        return MOCK_THEN_END;
    if (paced)
        ++*tokens;
    if (in_the_middle(r, *tokens, paced)) {
        if (fault.kind == MOCK_FAULT_ERROR_EVENT)
            r->sequence = sequence; /* the error stands where the event would have stood */
        then = spoil(fault, r, out);
    }
    if (then == MOCK_THEN_MORE && r->phase == MOCK_PHASE_END) {
        then = MOCK_THEN_END;
        if (fault.kind == MOCK_FAULT_NO_BLANK_END)
            buf_truncate(out, buf_len(out) - 1);
    }
    if (fault.kind == MOCK_FAULT_CRLF)
        double_line_ends(out);
    return then;
}

enum mock_then mock_fault_body(struct mock_fault fault, struct buf *body)
{
    switch (fault.kind) {
    case MOCK_FAULT_STALL:
        buf_truncate(body, buf_len(body) / 2);
        return MOCK_THEN_STALL;
    case MOCK_FAULT_CUT:
        buf_truncate(body, buf_len(body) / 2);
        return MOCK_THEN_ABORT;
    case MOCK_FAULT_RESET:
        buf_truncate(body, buf_len(body) / 2);
        return MOCK_THEN_RESET;
    case MOCK_FAULT_CUT_CLEAN:
        buf_truncate(body, buf_len(body) / 2);
        return MOCK_THEN_END;
    case MOCK_FAULT_INVALID_JSON:
        break_json(body);
        return MOCK_THEN_END;
    default:
        return MOCK_THEN_END;
    }
}

bool mock_fault_keeps_length(struct mock_fault fault)
{
    return fault.kind != MOCK_FAULT_CUT_CLEAN && fault.kind != MOCK_FAULT_INVALID_JSON &&
           fault.kind != MOCK_FAULT_GZIP;
}
