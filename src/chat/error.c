#include "error.h"

#include "json.h"
#include "member.h"

struct row {
    int status;
    struct str messages, type, code;
};

static const struct row rows[] = {
#define ETYPE(status, messages, type, code) \
    { status, S_INIT(messages), S_INIT(type), S_INIT(code) },
#include "error_types.def"
#undef ETYPE
};

enum { MESSAGE_BYTES_MAX = 2000 };

static const struct row *row_of(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].status == status)
            return &rows[i];
    return row_of(status >= 500 ? 500 : 400);
}

/* The status that a type and a code stand for; 0 when nobody knows them. */
static int status_of(struct str type, struct str code)
{
    for (size_t i = ARRAY_LEN(rows); code.n > 0 && i-- > 0;)
        if (str_eq(rows[i].code, code))
            return rows[i].status;
    for (size_t i = 0; type.n > 0 && i < ARRAY_LEN(rows); i++)
        if (str_eq(rows[i].messages, type) || str_eq(rows[i].type, type))
            return rows[i].status;
    return 0;
}

static struct json_node *find(struct json_edit *e, struct json_node *object, struct str name)
{
    struct json_node *n = object == NULL ? NULL : json_find(e, object, name);
    return n == NULL || json_type(n) == JSON_NULL ? NULL : n;
}

static struct str string_in(struct json_edit *e, struct json_node *object, struct str name)
{
    struct json_node *n = find(e, object, name);
    return n != NULL && json_type(n) == JSON_STRING ? json_string(e, n) : S("");
}

/* The node that has the message: the error object, or whatever stands in its place. */
static struct json_node *error_node(struct json_edit *e, struct json_node *root)
{
    if (root != NULL && json_type(root) == JSON_ARRAY)
        root = json_first(e, root);
    struct json_node *response = find(e, root, S("response")); /* response.failed */
    if (response != NULL && json_type(response) == JSON_OBJECT)
        root = response;
    struct json_node *error = find(e, root, S("error"));
    return error != NULL ? error : root;
}

static struct str message_in(struct json_edit *e, struct arena *a, struct json_node *n)
{
    if (n == NULL)
        return S("");
    if (json_type(n) == JSON_STRING)
        return json_string(e, n);
    static const struct str names[] = { S_INIT("message"), S_INIT("detail"), S_INIT("msg") };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct json_node *m = find(e, n, names[i]);
        if (m != NULL)
            return json_type(m) == JSON_STRING ? json_string(e, m)
                                               : json_compact(a, json_raw(e, m));
    }
    return S("");
}

static int64_t number_in(struct json_edit *e, struct json_node *object, struct str name)
{
    double x;
    struct json_node *n = find(e, object, name);
    return n != NULL && json_number(n, &x) && x >= 400 && x <= 599 ? (int64_t)x : 0;
}

/* Overload and a context that is too long are often only said in words. */
static void read_words(struct event_error *error)
{
    if (error->status == 503 && (str_contains_nocase(error->message, S("overload")) ||
                                 str_contains_nocase(error->code, S("overload")) ||
                                 str_contains_nocase(error->type, S("overload"))))
        error->status = 529;
    if (error->status == 400 && error->code.n == 0 &&
        (str_contains_nocase(error->message, S("prompt is too long")) ||
         str_contains_nocase(error->message, S("maximum context length")) ||
         str_contains_nocase(error->message, S("context window"))))
        error->code = S("context_length_exceeded");
    if (error->status == 404 && error->code.n == 0 &&
        str_contains_nocase(error->message, S("model")))
        error->code = S("model_not_found");
}

void error_of(struct json_edit *e, struct arena *a, struct json_node *root, int status,
              struct event_error *ret)
{
    struct json_node *n = error_node(e, root);
    bool object = n != NULL && json_type(n) == JSON_OBJECT;
    struct str type = object ? string_in(e, n, S("type")) : S("");
    struct str code = object ? string_in(e, n, S("code")) : S("");
    struct json_node *details = object ? find(e, n, S("details")) : NULL;
    if (code.n == 0 && details != NULL && json_type(details) == JSON_OBJECT)
        code = string_in(e, details, S("error_code"));
    bool body = status == 200;
    if (body)
        status = 0;
    if (status == 0 && object)
        status = (int)number_in(e, n, S("code"));
    if (status == 0 && object)
        status = (int)number_in(e, n, S("status"));
    if (status == 0 && !body)
        status = status_of(type, code);
    struct event_error error = {
        .status = status == 0 ? 502 : status,
        .type = str_eq(type, S("error")) ? S("") : type,
        .code = code,
        .message = str_slice(message_in(e, a, n), 0, MESSAGE_BYTES_MAX),
    };
    if (error.message.n == 0)
        error.message = arena_printf(a, "upstream returned HTTP %d", error.status);
    read_words(&error);
    *ret = error;
}

int error_status(enum protocol client, const struct event_error *error)
{
    return error->status == 529 && client != PROTOCOL_MESSAGES ? 503 : error->status;
}

struct str error_type(enum protocol client, const struct event_error *error)
{
    int status = error_status(client, error);
    if (client == PROTOCOL_MESSAGES)
        return row_of(status)->messages;
    return str_eq(error->code, S("insufficient_quota")) ? S("insufficient_quota")
                                                        : row_of(status)->type;
}

struct str error_code(enum protocol client, const struct event_error *error)
{
    if (client == PROTOCOL_MESSAGES || error->code.n > 0)
        return error->code;
    return row_of(error_status(client, error))->code;
}

struct str error_response_code(const struct event_error *error)
{
    if (str_eq(error->code, S("context_length_exceeded")) ||
        str_eq(error->code, S("insufficient_quota")))
        return error->code;
    if (error->status == 429)
        return S("rate_limit_exceeded");
    return error->status >= 500 ? S("server_error") : S("invalid_prompt");
}

/* By these words clients of Messages know that they must make the conversation shorter. */
static void write_messages_text(const struct event_error *error, struct json_out *o)
{
    static const struct str words = S_INIT("prompt is too long");
    struct buf text;
    if (!str_eq(error->code, S("context_length_exceeded")) ||
        str_contains_nocase(error->message, words)) {
        json_out_member_str(o, S("message"), error->message);
        return;
    }
    buf_init(&text, MESSAGE_BYTES_MAX * 2);
    buf_add(&text, words);
    buf_add(&text, S(": "));
    buf_add(&text, error->message);
    json_out_member_str(o, S("message"), buf_str(&text));
    buf_done(&text);
}

void error_write(enum protocol client, const struct event_error *error, struct json_out *o)
{
    struct str code = error_code(client, error);
    json_out_object(o);
    if (client == PROTOCOL_MESSAGES) {
        json_out_member_str(o, S("type"), error_type(client, error));
        write_messages_text(error, o);
    } else {
        json_out_member_str(o, S("message"), error->message);
        json_out_member_str(o, S("type"), error_type(client, error));
        json_out_member_null(o, S("param"));
        if (code.n > 0)
            json_out_member_str(o, S("code"), code);
        else
            json_out_member_null(o, S("code"));
    }
    json_out_object_end(o);
}
