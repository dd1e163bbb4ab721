/*
 * The client's name of a model, put back.  The first byte chooses the protocol and where the
 * events are cut, the rest is a body or events.
 * Invariants: nothing but one string changes, so a second time changes nothing; JSON stays JSON;
 * events may come in any groups of whole lines.
 */
#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "model_name.h"

static const struct str name = S_INIT("\"the \\u00fcmodel\"");

static bool is_json(struct str text)
{
    return json_is_valid(str_trim(text));
}

static void check_body(struct str body)
{
    struct buf once, twice;
    buf_init(&once, SIZE_MAX);
    buf_init(&twice, SIZE_MAX);
    model_name_in_body(body, name, &once);
    model_name_in_body(buf_str(&once), name, &twice);
    must(str_eq(buf_str(&once), buf_str(&twice)));
    must(is_json(body) == is_json(buf_str(&once)));
    buf_done(&once);
    buf_done(&twice);
}

/* Behind the first line end at or after `at`. */
static size_t line_after(struct str s, size_t at)
{
    size_t lf = at + str_index(str_slice(s, at, s.n), '\n');
    return lf < s.n ? lf + 1 : s.n;
}

static void check_events(enum protocol p, struct str events, size_t at)
{
    struct buf once, twice, cut;
    size_t middle = line_after(events, at < events.n ? at : events.n);
    buf_init(&once, SIZE_MAX);
    buf_init(&twice, SIZE_MAX);
    buf_init(&cut, SIZE_MAX);
    model_name_in_events(p, events, name, &once);
    model_name_in_events(p, buf_str(&once), name, &twice);
    model_name_in_events(p, str_slice(events, 0, middle), name, &cut);
    model_name_in_events(p, str_slice(events, middle, events.n), name, &cut);
    must(str_eq(buf_str(&once), buf_str(&twice)));
    must(str_eq(buf_str(&once), buf_str(&cut)));
    buf_done(&once);
    buf_done(&twice);
    buf_done(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    struct str rest = { (const char *)bytes + 1, n - 1 };
    check_body(rest);
    check_events((enum protocol)(bytes[0] % PROTOCOL_COUNT), rest, bytes[0]);
    return 0;
}
