/*
 * Goal: a Messages upstream's replies reach Chat and Messages clients as protocols.md says
 * (A1.9, B1, C3.1, C4.3, C5, cases E86..E134); the pieces in which they come make no difference.
 */
#include "reply_digest.h"

/* The worked example of C8.2. */
#define WORKED                                                     \
    "s\n"                                                          \
    "+0{'type':'thinking','thinking':'','signature':''}\n"         \
    "{'type':'ping'}\n"                                            \
    "0 {'type':'thinking_delta','thinking':'hm'}\n"                \
    "0 {'type':'signature_delta','signature':'SIG'}\n"             \
    "-0\n"                                                         \
    "+1{'type':'text','text':''}\n"                                \
    "1 {'type':'text_delta','text':'Hi'}\n"                        \
    "-1\n"                                                         \
    "+2{'type':'tool_use','id':'toolu_1','name':'f','input':{}}\n" \
    "2 {'type':'input_json_delta','partial_json':''}\n"            \
    "2 {'type':'input_json_delta','partial_json':'{\\'x\\':1}'}\n" \
    "-2\n"                                                         \
    "m {'stop_reason':'tool_use'} {'output_tokens':7}\n"           \
    "."

#define TEXT_BLOCK(text) \
    "+0{'type':'text','text':''}\n0 {'type':'text_delta','text':'" text "'}\n-0\n"
#define END "m {'stop_reason':'end_turn'} {'output_tokens':7}\n."
#define COUNTS "[100/7/85/5/0]."

static const struct reply_case to_chat[] = {
    { "worked example, E108: calls count from 0", PROTOCOL_CHAT, WORKED,
      "^r(hm)d([{\"type\":\"reasoning.text\",\"text\":\"hm\",\"signature\":\"SIG\",\"format\":"
      "\"anthropic-claude-v1\",\"index\":0}])c(Hi)t0:f:toolu_1t0({\"x\":1})=tool_calls" COUNTS,
      NULL, NULL, NULL },
    { "E109: no arguments are an empty object", PROTOCOL_CHAT,
      "s\n+0{'type':'tool_use','id':'t','name':'f','input':{}}\n-0\n"
      "m {'stop_reason':'tool_use'} {'output_tokens':7}\n.",
      "^t0:f:tt0({})=tool_calls" COUNTS, NULL, NULL, NULL },
    { "E110: nobody asked for usage", PROTOCOL_CHAT, "s\n" TEXT_BLOCK("Hi") END, "^c(Hi)=stop.",
      "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
      NULL, NULL },
    { "E111: pings and unknown events say nothing", PROTOCOL_CHAT,
      "s\n{'type':'ping'}\n{'type':'new_thing','index':0}\n+1{'type':'new_block'}\n"
      "1 {'type':'new_delta','text':'x'}\n-1\n" TEXT_BLOCK("Hi") END,
      "^c(Hi)=stop" COUNTS, NULL, NULL, NULL },
    { "E112: null counters keep what was known", PROTOCOL_CHAT,
      "s\n" TEXT_BLOCK("Hi") "m {'stop_reason':'end_turn'} {'input_tokens':null,"
                             "'output_tokens':7,'output_tokens_details':{'thinking_tokens':3}}\n.",
      "^c(Hi)=stop[100/7/85/5/3].", NULL, NULL, NULL },
    { "several message_delta: the last reason, one finish", PROTOCOL_CHAT,
      "s\n" TEXT_BLOCK("Hi") "m {'stop_reason':'end_turn'} {'output_tokens':3}\n"
                             "m {'stop_reason':'max_tokens'} {'output_tokens':7}\n.",
      "^c(Hi)=length" COUNTS, NULL, NULL, NULL },
    { "E133: a refusal without content", PROTOCOL_CHAT,
      "s\nm {'stop_reason':'refusal'} {'output_tokens':7}\n.",
      "^x(The model declined to answer.)=content_filter" COUNTS, NULL, NULL, NULL },
    { "a refusal that gives a reason", PROTOCOL_CHAT,
      "s\nm {'stop_reason':'refusal','stop_details':{'explanation':'no'}} {'output_tokens':7}\n.",
      "^x(no)=content_filter" COUNTS, NULL, NULL, NULL },
    { "E134: pause_turn", PROTOCOL_CHAT, "s\nm {'stop_reason':'pause_turn'} {'output_tokens':7}\n.",
      "^=stop" COUNTS, NULL, NULL, NULL },
    { "an unknown stop reason is a natural end", PROTOCOL_CHAT,
      "s\nm {'stop_reason':'tired'} {'output_tokens':7}\n.", "^=stop" COUNTS, NULL, NULL, NULL },
    { "an end without a stop reason", PROTOCOL_CHAT, "s\n" TEXT_BLOCK("Hi") ".",
      "^c(Hi)=stop[100/1/85/5/0].", NULL, NULL, NULL },
    { "E128: an error before anything was sent is an HTTP error", PROTOCOL_CHAT,
      "s\nE {'type':'error','error':{'type':'overloaded_error','message':'Overloaded'}}",
      "-529:Overloaded", NULL, NULL, NULL },
    { "E128: afterwards it is a chunk, and no [DONE] follows", PROTOCOL_CHAT,
      "s\n" TEXT_BLOCK("Hi") "E {'type':'error','error':{'type':'overloaded_error',"
                             "'message':'Overloaded'}}\n" END,
      "^c(Hi)!server_overloaded:Overloaded", NULL, NULL, NULL },
    { "the end is missing after the stop reason", PROTOCOL_CHAT,
      "s\n" TEXT_BLOCK("Hi") "m {'stop_reason':'end_turn'} {'output_tokens':7}",
      "^c(Hi)=stop" COUNTS, NULL, NULL, NULL },
    { "the stream breaks off", PROTOCOL_CHAT, "s\n" TEXT_BLOCK("Hi"),
      "^c(Hi)!upstream_error:upstream closed the stream before the reply was complete", NULL, NULL,
      NULL },
    { "it breaks off before anything was sent", PROTOCOL_CHAT, "s",
      "-502:upstream closed the stream before the reply was complete", NULL, NULL, NULL },
    { "citations have the range of their block", PROTOCOL_CHAT,
      "s\n" TEXT_BLOCK("ab") "+1{'type':'text','text':''}\n1 {'type':'citations_delta','citation':"
                             "{'type':'web_search_result_location','url':'http://u','title':'T'}}\n"
                             "1 {'type':'text_delta','text':'c\\u00e9\\ud83d'}\n"
                             "1 {'type':'text_delta','text':'\\ude00'}\n-1\n" END,
      "^c(ab)c(c\xc3\xa9)c(\xf0\x9f\x98\x80)n([{\"type\":\"url_citation\",\"url_citation\":{"
      "\"url\":"
      "\"http://u\",\"title\":\"T\",\"start_index\":2,\"end_index\":5}}])=stop" COUNTS,
      NULL, NULL, NULL },
    { "a redacted block is one entry", PROTOCOL_CHAT,
      "s\n+0{'type':'redacted_thinking','data':'DD'}\n-0\n" END,
      "^d([{\"type\":\"reasoning.encrypted\",\"data\":\"DD\",\"format\":\"anthropic-claude-v1\","
      "\"index\":0}])=stop" COUNTS,
      NULL, NULL, NULL },
    { "old clients get a function_call", PROTOCOL_CHAT, WORKED,
      "^r(hm)d([{\"type\":\"reasoning.text\",\"text\":\"hm\",\"signature\":\"SIG\",\"format\":"
      "\"anthropic-claude-v1\",\"index\":0}])c(Hi)f(f)a({\"x\":1})=function_call.",
      "{\"model\":\"m\",\"stream\":true,\"functions\":[{\"name\":\"f\"}],"
      "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
      NULL, NULL },
    { "custom tools get their text", PROTOCOL_CHAT,
      "s\n+0{'type':'tool_use','id':'t','name':'p','input':{}}\n"
      "0 {'type':'input_json_delta','partial_json':'{\\'input\\':'}\n"
      "0 {'type':'input_json_delta','partial_json':'\\'a b\\'}'}\n-0\n"
      "m {'stop_reason':'tool_use'} {'output_tokens':7}\n.",
      "^t0:p:tt0(a b)=tool_calls.",
      "{\"model\":\"m\",\"stream\":true,\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":"
      "\"p\"}}],\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
      NULL, NULL },
};

static void test_to_chat(void **state)
{
    (void)state;
    digest_cases(PROTOCOL_MESSAGES, to_chat, ARRAY_LEN(to_chat));
}

/* The same protocol on both sides, as when an upstream does not stream. */
static const struct reply_case to_messages[] = {
    { "signatures stay as they are", PROTOCOL_MESSAGES, WORKED,
      "<thinkingh(hm)s(SIG)><textt(Hi)><tool_use:f:toolu_1j({\"x\":1})>=tool_use{10/5/85/7}.", NULL,
      NULL, NULL },
    { "blocks that overlap are put one behind the other", PROTOCOL_MESSAGES,
      "s\n+0{'type':'tool_use','id':'a','name':'f','input':{}}\n"
      "+1{'type':'tool_use','id':'b','name':'g','input':{}}\n"
      "1 {'type':'input_json_delta','partial_json':'{\\'b\\':1}'}\n"
      "0 {'type':'input_json_delta','partial_json':'{\\'a\\':1}'}\n-0\n-1\n"
      "m {'stop_reason':'tool_use'} {'output_tokens':7}\n.",
      "<tool_use:f:aj({\"a\":1})><tool_use:g:bj({\"b\":1})>=tool_use{10/5/85/7}.", NULL, NULL,
      NULL },
    { "a stop sequence is named", PROTOCOL_MESSAGES,
      "s\n" TEXT_BLOCK(
          "Hi") "m {'stop_reason':'stop_sequence','stop_sequence':'END'} {'output_tokens':7}\n.",
      "<textt(Hi)>=stop_sequence#(END){10/5/85/7}.", NULL, NULL, NULL },
    { "an error ends the stream, blocks stay open", PROTOCOL_MESSAGES,
      "s\n+0{'type':'text','text':''}\n0 {'type':'text_delta','text':'Hi'}\n"
      "E {'type':'error','error':{'type':'rate_limit_error','message':'slow'}}",
      "<textt(Hi)!rate_limit_error:slow", NULL, NULL, NULL },
    { "searches are hidden from who declared none", PROTOCOL_MESSAGES,
      "s\n+0{'type':'server_tool_use','id':'srvtoolu_1','name':'web_search','input':{}}\n"
      "0 {'type':'input_json_delta','partial_json':'{\\'query\\':\\'q\\'}'}\n-0\n"
      "+1{'type':'web_search_tool_result','tool_use_id':'srvtoolu_1','content':[]}\n-1\n"
      "+2{'type':'text','text':''}\n2 {'type':'text_delta','text':'Hi'}\n-2\n" END,
      "<textt(Hi)>=end_turn{10/5/85/7}.", NULL, NULL, NULL },
};

static void test_to_messages(void **state)
{
    (void)state;
    digest_cases(PROTOCOL_MESSAGES, to_messages, ARRAY_LEN(to_messages));
}

static void test_every_split(void **state)
{
    (void)state;
    digest_every_split(PROTOCOL_MESSAGES, PROTOCOL_CHAT, WORKED);
    digest_every_split(PROTOCOL_MESSAGES, PROTOCOL_MESSAGES, WORKED);
}

/* A whole message to a client that does not stream. */
static void test_whole(void **state)
{
    (void)state;
    digest_whole(
        PROTOCOL_MESSAGES, PROTOCOL_CHAT,
        "{'id':'msg_01','type':'message','role':'assistant','model':'m','content':["
        "{'type':'thinking','thinking':'hm','signature':'SIG'},{'type':'text','text':'Hi '},"
        "{'type':'text','text':'you'},{'type':'tool_use','id':'t1','name':'f','input':"
        "{ 'z' : 1.0, 'a':[1, 2]}},{'type':'tool_use','id':'t2','name':'g','input':null}],"
        "'stop_reason':'tool_use','usage':{'input_tokens':10,'cache_creation_input_tokens':5,"
        "'cache_read_input_tokens':85,'output_tokens':7,'service_tier':'standard'}}",
        "{'id':'chatcmpl-01','object':'chat.completion','created':1790000000,'model':'m',"
        "'choices':[{'index':0,'message':{'role':'assistant','content':'Hi you','refusal':null,"
        "'reasoning_content':'hm','reasoning_details':[{'type':'reasoning.text','text':'hm',"
        "'signature':'SIG','format':'anthropic-claude-v1','index':0}],'tool_calls':[{'id':'t1',"
        "'type':'function','function':{'name':'f','arguments':'{\\'z\\':1.0,\\'a\\':[1,2]}'}},"
        "{'id':'t2','type':'function','function':{'name':'g','arguments':'{}'}}]},'logprobs':null,"
        "'finish_reason':'tool_calls'}],'usage':{'prompt_tokens':100,'completion_tokens':7,"
        "'total_tokens':107,'prompt_tokens_details':{'cached_tokens':85,'cache_write_tokens':5},"
        "'completion_tokens_details':{'reasoning_tokens':0}},'service_tier':'default'}");
}

/* Nothing at all: an empty text, not null. */
static void test_whole_empty(void **state)
{
    (void)state;
    digest_whole(PROTOCOL_MESSAGES, PROTOCOL_CHAT,
                 "{'id':'msg_01','type':'message','model':'m','content':[],'stop_reason':null}",
                 "{'id':'chatcmpl-01','object':'chat.completion','created':1790000000,'model':'m',"
                 "'choices':[{'index':0,'message':{'role':'assistant','content':'','refusal':null},"
                 "'logprobs':null,'finish_reason':'stop'}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_chat),     cmocka_unit_test(test_to_messages),
        cmocka_unit_test(test_every_split), cmocka_unit_test(test_whole),
        cmocka_unit_test(test_whole_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
