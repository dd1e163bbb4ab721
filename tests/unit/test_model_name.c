/*
 * Goal: exactly the value that names the model is replaced, in a body and in each protocol's
 * events, and every other byte is as it was (EW5 and E203 of protocols.md).
 */
#include "unit.h"

#include "model_name.h"

#define NAME S("\"al\\u0069as\"")

static void check_body(const char *in, const char *want)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    model_name_in_body(str_of(in), NAME, &out);
    assert_str(buf_str(&out), str_of(want));
    buf_done(&out);
}

static void check_events(enum protocol p, const char *in, const char *want)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    model_name_in_events(p, str_of(in), NAME, &out);
    assert_str(buf_str(&out), str_of(want));
    buf_done(&out);
}

static void bodies(void **state)
{
    (void)state;
    check_body("{\"id\":1, \"model\" :\t\"m-1\" , \"x\":{\"model\":\"m-1\"}}",
               "{\"id\":1, \"model\" :\t\"al\\u0069as\" , \"x\":{\"model\":\"m-1\"}}");
    check_body("{\"\\u006dodel\":\"m-1\"}", "{\"\\u006dodel\":\"al\\u0069as\"}");
    check_body("{\"text\":\"\\\"model\\\":\\\"m-1\\\"\"}",
               "{\"text\":\"\\\"model\\\":\\\"m-1\\\"\"}");
    check_body("{\"model\":null}", "{\"model\":null}");
    check_body("{\"model\":\"m\",}", "{\"model\":\"m\",}"); /* no JSON */
    check_body("[{\"model\":\"m\"}]", "[{\"model\":\"m\"}]");
    check_body("", "");
}

static void events(void **state)
{
    (void)state;
    check_events(
        PROTOCOL_MESSAGES,
        "event: message_start\r\ndata:  {\"type\":\"message_start\",\"message\":{\"model\":"
        "\"m\"},\"model\":\"m\"} \r\n\r\n: model\r\n\r\n",
        "event: message_start\r\ndata:  {\"type\":\"message_start\",\"message\":{\"model\":"
        "\"al\\u0069as\"},\"model\":\"m\"} \r\n\r\n: model\r\n\r\n");
    check_events(PROTOCOL_CHAT,
                 "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"model\":\"m\"}}]}\n\n"
                 "data: {\"model\":\"m\"}\r\rdata: [DONE]\n\n",
                 "data: {\"model\":\"al\\u0069as\",\"choices\":[{\"delta\":{\"model\":\"m\"}}]}\n\n"
                 "data: {\"model\":\"al\\u0069as\"}\r\rdata: [DONE]\n\n");
    check_events(PROTOCOL_RESPONSES,
                 "event: response.created\ndata: {\"response\":{\"model\":\"m\"}}\n\n"
                 "data:{\"item\":{\"model\":\"m\"}}\n\n",
                 "event: response.created\ndata: {\"response\":{\"model\":\"al\\u0069as\"}}\n\n"
                 "data:{\"item\":{\"model\":\"m\"}}\n\n");
    check_events(PROTOCOL_CHAT, "data:\n\ndata: {\"model\":\n\nid: \"model\"",
                 "data:\n\ndata: {\"model\":\n\nid: \"model\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),
        cmocka_unit_test(events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
